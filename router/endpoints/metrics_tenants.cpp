#include "router/endpoints/metrics_tenants.h"

#include <utility>

namespace bessemer {
namespace {

void add_promises(const PromiseCounts& counts, MetricFamilies& families) {
  MetricFamilies::Metrics metrics;
  const std::pair<const char*, uint64_t> outcomes[] = {{"told", counts.told},
                                                       {"let_in", counts.let_in},
                                                       {"refused", counts.refused},
                                                       {"early", counts.early},
                                                       {"lapsed", counts.lapsed}};
  for (const auto& [outcome, value] : outcomes)
    metrics.push_back(MetricFamilies::labelled({{"outcome", outcome}}, value));
  families.add("kept_places_total",
               "Requests that were told when to come back, and whose place was kept: told; came "
               "back and were let in, or came in time and were refused after all; came early and "
               "heard it again; lapsed, never having come in time.",
               MetricFamilies::Type::Counter, std::move(metrics));
}

}  // namespace

void add_tenant_metrics(const RouterContext& router, MetricFamilies& families) {
  MetricFamilies::Metrics requests, tokens;
  for (const auto& [name, totals] : router.tenants.totals()) {
    const std::pair<const char*, uint64_t> outcomes[] = {{"answered", totals.answered},
                                                         {"refused", totals.refused},
                                                         {"cancelled", totals.cancelled},
                                                         {"invalid", totals.invalid},
                                                         {"failed", totals.failed}};
    for (const auto& [outcome, value] : outcomes)
      requests.push_back(MetricFamilies::labelled({{"tenant", name}, {"outcome", outcome}}, value));
    const std::pair<const char*, uint64_t> kinds[] = {{"prompt", totals.prompt_tokens},
                                                      {"cached", totals.cached_tokens},
                                                      {"generated", totals.generated_tokens}};
    for (const auto& [kind, value] : kinds)
      tokens.push_back(MetricFamilies::labelled({{"tenant", name}, {"kind", kind}}, value));
  }
  families.add("tenant_requests_total",
               "Requests by tenant (the first 50 that asked; then '(other)') and outcome (refused: "
               "429; invalid: other 4xx; failed: 5xx).",
               MetricFamilies::Type::Counter, std::move(requests));
  families.add("tenant_tokens_total",
               "Tokens of prompts, those of them that workers had in their cache, and of answers.",
               MetricFamilies::Type::Counter, std::move(tokens));
  add_promises(router.gate.promise_counts(), families);
}

}  // namespace bessemer
