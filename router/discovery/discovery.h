// Where the workers are: the sources that the configuration names, looked at on a thread of its own,
// put together and told whenever that changes.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "common/clock.h"
#include "router/cluster/roster.h"
#include "router/cluster/worker_source.h"
#include "router/discovery/kubernetes_options.h"

namespace bessemer {

struct DiscoveryOptions {
  Duration dns_interval = std::chrono::seconds(5);
  KubernetesOptions kubernetes;
};

class Discovery {
 public:
  // Called on the discovery's thread, with everybody there should be.
  using Sink = std::function<void(const std::vector<Member>&)>;

  static std::unique_ptr<Discovery> create(const DiscoveryOptions& options, Sink sink);
  // Ends what is under way; the sink is not called afterwards.
  virtual ~Discovery() = default;

  // Replaces the sources; one that stays keeps what it saw. Any thread.
  virtual void set_sources(std::vector<WorkerSource> sources) = 0;
};

}  // namespace bessemer
