// /livez: the process answers. /readyz: it takes requests (it does not while it drains; workers do
// not matter, or a router would be taken out of service for what its workers do). /health: it could
// serve one now.
#include <algorithm>

#include "router/endpoints/table.h"

namespace bessemer {
namespace {

constexpr int kRetryMs = 1000;

void ok(const EndpointCall& call) {
  respond_json(call, R"({"status":"ok"})");
}

}  // namespace

void handle_livez(EndpointCall call) {
  ok(call);
}

void handle_readyz(EndpointCall call) {
  if (call.router.draining) return respond(call, unavailable("This router is draining.", kRetryMs));
  ok(call);
}

void handle_health(EndpointCall call) {
  if (call.router.draining) return respond(call, unavailable("This router is draining.", kRetryMs));
  const auto& workers = call.core.view->workers;
  const bool any = std::any_of(workers.begin(), workers.end(), [](const WorkerView& worker) {
    return worker.state == WorkerState::ready;
  });
  if (!any) return respond(call, unavailable("No worker is ready.", kRetryMs));
  ok(call);
}

}  // namespace bessemer
