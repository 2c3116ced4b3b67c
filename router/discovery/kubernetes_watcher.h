// The workers of a Kubernetes Service: a list of its EndpointSlices, then a watch that is followed
// by another for as long as the router runs.
//
// Invariants
//   U1  While the API server cannot be reached, or refuses, who was there stays.
//   U2  A watch goes on where the one before ended; when the server has forgotten that (410), the
//       list is had anew and what it does not name has left.
//   U3  After a failure there is a wait before the next try, longer each time up to half a minute.
#pragma once
#include <memory>

#include <boost/asio/io_context.hpp>

#include "router/cluster/worker_source.h"
#include "router/discovery/kubernetes_options.h"
#include "router/discovery/watcher.h"

namespace bessemer {

std::shared_ptr<Watcher> make_kubernetes_watcher(boost::asio::io_context& io, WorkerSource source,
                                                 KubernetesOptions options, SeeMembers see);

}  // namespace bessemer
