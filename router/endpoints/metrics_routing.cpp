// Metrics of placements, of the prefix index and of what keeps it.
#include "router/endpoints/metrics_routing.h"

#include <limits>

namespace bessemer {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Families {
 public:
  Families(const RouterContext& router, std::vector<MetricFamily>& out)
      : router_(router), out_(out) {}

  void counter(const char* name, const char* help, Counter RoutingStats::* member) {
    uint64_t total = 0;
    for (const auto& core : router_.cores) total += (core->routing.*member).value();
    counter(name, help, total);
  }
  void counter(const char* name, const char* help, uint64_t total) {
    ClientMetric metric;
    metric.counter.value = static_cast<double>(total);
    add(name, help, MetricType::Counter, {std::move(metric)});
  }
  void gauge(const char* name, const char* help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    add(name, help, MetricType::Gauge, {std::move(metric)});
  }
  void decisions() {
    std::vector<ClientMetric> metrics;
    for (size_t reason = 0; reason < kChoiceReasons; reason++) {
      ClientMetric metric;
      metric.label = {{"reason", choice_reason_name(static_cast<ChoiceReason>(reason))}};
      for (const auto& core : router_.cores)
        metric.counter.value += static_cast<double>(core->routing.decisions[reason].value());
      metrics.push_back(std::move(metric));
    }
    add("decisions_total", "Choices of a worker, by why it was that one.", MetricType::Counter,
        std::move(metrics));
  }
  void decision_seconds() {
    ClientMetric metric;
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= kDecisionBounds.size(); i++) {
      for (const auto& core : router_.cores) cumulative += core->routing.decision.bucket(i);
      const double bound =
          i < kDecisionBounds.size() ? kDecisionBounds[i] : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({cumulative, bound});
    }
    metric.histogram.sample_count = cumulative;
    for (const auto& core : router_.cores)
      metric.histogram.sample_sum += core->routing.decision.sum();
    add("decision_seconds", "What choosing a worker took: the look into the index and the policy.",
        MetricType::Histogram, {std::move(metric)});
  }

 private:
  void add(const char* name, const char* help, MetricType type, std::vector<ClientMetric> metrics) {
    out_.push_back({std::string("bessemer_router_") + name, help, type, std::move(metrics)});
  }

  const RouterContext& router_;
  std::vector<MetricFamily>& out_;
};

}  // namespace

void add_routing_metrics(const RouterContext& router, std::vector<MetricFamily>& out) {
  Families families(router, out);
  families.decisions();
  families.decision_seconds();
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
