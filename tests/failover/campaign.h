// A router over mock workers, faults on them, clients before it: what became of every stream.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/failover/clients.h"
#include "tests/failover/faults.h"

namespace bessemer::failover {

// Where the workers are, and with it what can befall them.
enum class Place : uint8_t {
  in_process,     // crash, hang, freeze, slow, sever, frames, lies
  processes,      // SIGKILL, SIGSTOP
  behind_wires,   // in this process, each behind a proxy: cut, black hole, lag
  behind_routes,  // in this process and a network of its own: packets to a worker vanish
};

struct CampaignOptions {
  Place place = Place::in_process;
  int workers = 16;
  int64_t step_us = 10'000;
  std::string router;  // `bessemer`; empty: the router is in this process
  int router_threads = 2;
  int32_t orphan_ms = 2000;
  FaultOptions faults;  // its seed is the campaign's
  ClientOptions clients;
};

struct CampaignReport {
  ClientResult clients;
  std::array<int64_t, kFaultKinds> faults{};
  int64_t resumed = 0, attached = 0;    // Starts that went on; attempts taken up again
  std::vector<std::string> complaints;  // of workers about the router
  int64_t left = 0;                     // attempts alive in workers when nobody asks any more
  double router_mib_before = 0, router_mib_after = 0;  // resident, of the router's process

  // Nothing is wrong: every stream is right, nobody complains, nothing is left.
  bool good() const;
};

// Error: the router or a worker did not start.
StatusOr<CampaignReport> run_campaign(const CampaignOptions& options);

// A table for people; what is wrong comes last, and by name.
std::string describe(const CampaignReport& report);

}  // namespace bessemer::failover
