// What GET /metrics answers, family by family: counters and histograms of all cores, merged now.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include <prometheus/metric_family.h>

#include "router/endpoints/context.h"

namespace bessemer {

class MetricFamilies {
 public:
  using Type = prometheus::MetricType;
  using Metrics = std::vector<prometheus::ClientMetric>;

  // `router` outlives it.
  explicit MetricFamilies(const RouterContext& router) : router_(router) {}

  // `name` without the "bessemer_router_" that all have.
  void add(const char* name, const char* help, Type type, Metrics metrics);
  void counter(const char* name, const char* help, uint64_t total);
  void gauge(const char* name, const char* help, double value);

  // Of a member of CoreStats or RoutingStats, over all cores.
  template <typename Stats>
  void counter(const char* name, const char* help, Counter Stats::* member) {
    uint64_t total = 0;
    for (const auto& core : router_.cores) total += (stats_of<Stats>(*core).*member).value();
    counter(name, help, total);
  }
  template <typename Stats>
  void histogram(const char* name, const char* help, Histogram Stats::* member) {
    std::vector<const Histogram*> parts;
    for (const auto& core : router_.cores) parts.push_back(&(stats_of<Stats>(*core).*member));
    histogram(name, help, parts);
  }

  // One counter of a family whose members have labels.
  static prometheus::ClientMetric labelled(std::vector<prometheus::ClientMetric::Label> labels,
                                           uint64_t total);

  const std::vector<prometheus::MetricFamily>& all() const { return families_; }

 private:
  template <typename Stats>
  static const Stats& stats_of(const CoreContext& core) {
    if constexpr (std::is_same_v<Stats, CoreStats>) {
      return core.stats;
    } else {
      return core.routing;
    }
  }
  // `parts` is not empty; all have the same bounds.
  void histogram(const char* name, const char* help, const std::vector<const Histogram*>& parts);

  const RouterContext& router_;
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace bessemer
