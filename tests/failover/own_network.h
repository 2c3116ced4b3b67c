// A network namespace of the test's own (unshare -rn), where it may take routes away: packets to an
// address vanish, and neither end of a connection is told.
#pragma once
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer::failover {

// Whether this machine grants one (user namespaces, unshare and ip are there).
bool can_have_own_network();
// Whether this process runs in one that run_in_own_network made.
bool in_own_network();
// Runs a program in a new one, its loopback up; its exit status, or 127.
int run_in_own_network(std::vector<std::string> arguments);
// Drops all packets to `address`, or lets them pass again.
Status set_route_black_hole(const std::string& address, bool on);

}  // namespace bessemer::failover
