// Metrics of placements, of the prefix index and of what keeps it.
#include "router/endpoints/metrics_routing.h"

#include <utility>

namespace bessemer {
namespace {

void add_decisions(const RouterContext& router, MetricFamilies& families) {
  MetricFamilies::Metrics metrics;
  for (size_t reason = 0; reason < kChoiceReasons; reason++) {
    uint64_t total = 0;
    for (const auto& core : router.cores) total += core->routing.decisions[reason].value();
    metrics.push_back(MetricFamilies::labelled(
        {{"reason", choice_reason_name(static_cast<ChoiceReason>(reason))}}, total));
  }
  families.add("decisions_total", "Choices of a worker, by why it was that one.",
               MetricFamilies::Type::Counter, std::move(metrics));
}

}  // namespace

void add_routing_metrics(const RouterContext& router, MetricFamilies& families) {
  add_decisions(router, families);
  families.histogram("decision_seconds",
                     "What choosing a worker took: the look into the index and the policy.",
                     &RoutingStats::decision);
  families.counter("predicted_cached_tokens_total",
                   "Prompt tokens that the prefix index said the chosen worker had.",
                   &RoutingStats::predicted_tokens);
  families.counter("found_cached_tokens_total", "Prompt tokens that it had when they came.",
                   &RoutingStats::found_tokens);
  families.counter("missed_cached_tokens_total", "Predicted and not found.",
                   &RoutingStats::missed_tokens);
  families.counter("unforeseen_cached_tokens_total", "Found and not predicted.",
                   &RoutingStats::unforeseen_tokens);
  families.counter("recomputed_tokens_total",
                   "Prompt tokens not found at the chosen worker, though another had them.",
                   &RoutingStats::recomputed_tokens);
  families.gauge("kv_index_pairs", "Pairs of block and worker in the prefix index.",
                 static_cast<double>(router.kv_index->pairs()));
  families.gauge("kv_index_bytes", "What they take.",
                 static_cast<double>(router.kv_index->bytes()));
  const KvCounts counts = router.fleet->kv_counts();
  families.gauge("kv_workers_exact", "Workers whose prefix cache is known exactly.",
                 static_cast<double>(counts.exact));
  families.gauge("kv_workers_expected", "Workers that are there.",
                 static_cast<double>(counts.expected));
  families.counter("kv_updates_total", "Updates of prefix caches applied.", counts.updates);
  families.counter("kv_snapshots_total", "Caches learnt anew, the first time included.",
                   counts.snapshots);
  families.counter("kv_resyncs_total",
                   "Of them, those after a gap or a digest that was not the worker's.",
                   counts.diverged);
  families.counter("kv_no_room_total", "Workers given up for a minute since the index was full.",
                   counts.no_room);
}

}  // namespace bessemer
