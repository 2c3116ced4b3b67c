// GET /bessemer/state: what the built-in page shows.
#include <fmt/format.h>

#include "common/json.h"
#include "router/endpoints/table.h"

namespace bessemer {
namespace {

json::object describe_load(const LoadSlot& slot) {
  const LoadReading load = slot.reading.load();
  return {{"running", load.running},
          {"waiting", load.waiting},
          {"backlog_tokens", load.backlog_tokens},
          {"prefill_tokens_per_second", load.prefill_tok_s},
          {"step_us", load.step_us},
          {"kv_blocks_free", load.kv_free},
          {"kv_blocks_total", load.kv_total},
          {"tokens_generated", load.tokens_generated},
          {"tokens_prefilled", load.tokens_prefilled},
          {"requests_finished", load.requests_finished},
          {"resident_bytes", load.resident_bytes},
          {"from_this_router", slot.own.load(std::memory_order_relaxed)}};
}

json::object describe(const WorkerView& worker) {
  json::object state{{"id", worker.id},
                     {"address", worker.address},
                     {"state", worker_state_name(worker.state)},
                     {"problem", worker.problem},
                     {"node", worker.node},
                     {"version", worker.version},
                     {"incarnation", fmt::format("{:016x}", worker.incarnation)},
                     {"model", nullptr},
                     {"numerics", nullptr},
                     {"load", describe_load(*worker.load)}};
  if (worker.card != nullptr) {
    state["model"] = worker.card->name();
    state["numerics"] = worker.card->numerics();
  }
  return state;
}

json::object describe(const std::string& name, const ModelView& model) {
  json::array workers(model.workers.begin(), model.workers.end());
  return {{"id", name},
          {"name", model.card->name()},
          {"architecture", model.card->architecture()},
          {"quantization", model.card->quantization()},
          {"parameters", model.card->parameters()},
          {"max_model_len", model.card->max_model_len()},
          {"workers", std::move(workers)}};
}

}  // namespace

void handle_state(EndpointCall call) {
  json::array workers, models;
  for (const auto& worker : call.core.view->workers) {
    if (worker.state != WorkerState::absent) workers.push_back(describe(worker));
  }
  for (const auto& [name, model] : call.core.view->models) models.push_back(describe(name, *model));
  size_t connections = 0, requests = 0;
  for (const auto& core : call.router.cores) {
    connections += core->core->connections();
    requests += core->core->live_requests();
  }
  json::object router{{"version", call.router.options.version},
                      {"started", call.router.started_unix},
                      {"draining", call.router.draining.load()},
                      {"cores", call.router.cores.size()},
                      {"connections", connections},
                      {"requests", requests},
                      {"waiting", call.router.waiting()}};
  respond_json(call, json::serialize(json::object{{"router", std::move(router)},
                                                  {"workers", std::move(workers)},
                                                  {"models", std::move(models)}}));
}

}  // namespace bessemer
