#include "router/endpoints/metric_families.h"

#include <limits>
#include <utility>

namespace bessemer {

using prometheus::ClientMetric;

void MetricFamilies::add(const char* name, const char* help, Type type, Metrics metrics) {
  families_.push_back({std::string("bessemer_router_") + name, help, type, std::move(metrics)});
}

ClientMetric MetricFamilies::labelled(std::vector<ClientMetric::Label> labels, uint64_t total) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = static_cast<double>(total);
  return metric;
}

void MetricFamilies::counter(const char* name, const char* help, uint64_t total) {
  ClientMetric metric;
  metric.counter.value = static_cast<double>(total);
  add(name, help, Type::Counter, {std::move(metric)});
}

void MetricFamilies::gauge(const char* name, const char* help, double value) {
  ClientMetric metric;
  metric.gauge.value = value;
  add(name, help, Type::Gauge, {std::move(metric)});
}

void MetricFamilies::histogram(const char* name, const char* help,
                               const std::vector<const Histogram*>& parts) {
  ClientMetric metric;
  const auto bounds = parts.front()->bounds();
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= bounds.size(); i++) {
    for (const Histogram* part : parts) cumulative += part->bucket(i);
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  metric.histogram.sample_count = cumulative;
  for (const Histogram* part : parts) metric.histogram.sample_sum += part->sum();
  add(name, help, Type::Histogram, {std::move(metric)});
}

}  // namespace bessemer
