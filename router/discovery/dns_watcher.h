// The workers behind a name of DNS, such as a headless Service.
//
// Invariants
//   N1  A lookup that fails changes nothing: who was there stays.
//   N2  A worker whose address is not among the answers any more has left.
#pragma once
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "common/clock.h"
#include "router/cluster/worker_source.h"
#include "router/discovery/lookup.h"
#include "router/discovery/watcher.h"

namespace bessemer {

// Looks each `interval`, and earlier after a failure.
std::shared_ptr<Watcher> make_dns_watcher(boost::asio::io_context& io, WorkerSource source,
                                          std::unique_ptr<Lookup> lookup, Duration interval,
                                          SeeMembers see);

}  // namespace bessemer
