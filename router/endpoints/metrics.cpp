// GET /metrics: the counters of all cores, merged now, in Prometheus' text format.
#include <functional>
#include <limits>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "router/endpoints/metrics_routing.h"
#include "router/endpoints/table.h"

namespace bessemer {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Merged {
  const RouterContext& router;
  const ClusterView& view;
  std::vector<MetricFamily> families;

  MetricFamily& family(const char* name, const char* help, MetricType type) {
    families.push_back({std::string("bessemer_router_") + name, help, type, {}});
    return families.back();
  }
  void counter(const char* name, const char* help, Counter CoreStats::* member) {
    uint64_t total = 0;
    for (const auto& core : router.cores) total += (core->stats.*member).value();
    counter(name, help, total);
  }
  void counter(const char* name, const char* help, uint64_t total) {
    ClientMetric metric;
    metric.counter.value = static_cast<double>(total);
    family(name, help, MetricType::Counter).metric.push_back(std::move(metric));
  }
  void gauge(const char* name, const char* help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    family(name, help, MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void histogram(const char* name, const char* help, Histogram CoreStats::* member);
  void requests();
  void workers();
  void telemetry();
};

void Merged::histogram(const char* name, const char* help, Histogram CoreStats::* member) {
  ClientMetric metric;
  const auto bounds = (router.cores.front()->stats.*member).bounds();
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= bounds.size(); i++) {
    for (const auto& core : router.cores) cumulative += (core->stats.*member).bucket(i);
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  metric.histogram.sample_count = cumulative;
  for (const auto& core : router.cores) metric.histogram.sample_sum += (core->stats.*member).sum();
  family(name, help, MetricType::Histogram).metric.push_back(std::move(metric));
}

void Merged::requests() {
  MetricFamily& all = family("requests_total",
                             "Answered requests by endpoint (none: an unknown path, or not HTTP "
                             "that could be read) and status (499: the client hung up).",
                             MetricType::Counter);
  for (EndpointId endpoint = 0; endpoint <= no_endpoint(); endpoint++) {
    const auto path =
        endpoint < no_endpoint() ? endpoint_table()[endpoint].path : std::string_view("none");
    for (size_t i = 0; i < kStatuses.size(); i++) {
      uint64_t total = 0;
      for (const auto& core : router.cores) total += core->stats.requests[endpoint][i].value();
      if (total == 0) continue;
      ClientMetric metric;
      metric.label = {{"endpoint", std::string(path)}, {"status", std::to_string(kStatuses[i])}};
      metric.counter.value = static_cast<double>(total);
      all.metric.push_back(std::move(metric));
    }
  }
}

void Merged::workers() {
  MetricFamily& up = family("worker_ready", "1 while the worker takes requests from this router.",
                            MetricType::Gauge);
  for (const auto& worker : view.workers) {
    if (worker.state == WorkerState::absent) continue;
    ClientMetric metric;
    metric.label = {{"worker", worker.address}};
    metric.gauge.value = worker.state == WorkerState::ready ? 1 : 0;
    up.metric.push_back(std::move(metric));
  }
}

void Merged::telemetry() {
  if (router.access_log != nullptr) {
    counter("access_log_dropped_total", "Lines of the access log that were lost.",
            router.access_log->dropped());
  }
  if (router.exporter == nullptr) return;
  const ExportCounts counts = router.exporter->counts();
  counter("spans_exported_total", "Spans that the collector has taken.", counts.sent);
  counter(
      "spans_dropped_total",
      "Spans that were lost: refused by the collector, or given up (of a full queue: requests).",
      counts.dropped);
  counter("span_posts_retried_total", "Posts to the collector that were made again.",
          counts.retries);
}

double sum_over_cores(const RouterContext& router,
                      const std::function<size_t(const Core&)>& value) {
  size_t total = 0;
  for (const auto& core : router.cores) total += value(*core->core);
  return static_cast<double>(total);
}

}  // namespace

void handle_metrics(EndpointCall call) {
  Merged merged{call.router, *call.core.view, {}};
  merged.families.reserve(64);  // family() hands out references
  merged.requests();
  merged.gauge("requests_in_flight", "Requests from their first byte until their answer has left.",
               sum_over_cores(call.router, [](const Core& core) { return core.live_requests(); }));
  merged.gauge("connections", "Open client connections.",
               sum_over_cores(call.router, [](const Core& core) { return core.connections(); }));
  merged.gauge("waiting", "Requests that wait in the router for room in a worker.",
               call.router.waiting.load());
  merged.histogram("time_to_first_token_seconds",
                   "From the request's last byte to its first token.", &CoreStats::ttft);
  merged.histogram("inter_token_latency_seconds", "Between arrivals of a choice's tokens.",
                   &CoreStats::inter_token);
  merged.histogram("request_seconds", "From the request's last byte to the end of its answer.",
                   &CoreStats::request);
  merged.counter("prompt_tokens_total", "Tokens of admitted prompts.", &CoreStats::prompt_tokens);
  merged.counter("cached_tokens_total", "Those of them that workers had in their cache.",
                 &CoreStats::cached_tokens);
  merged.counter("generated_tokens_total", "Tokens accepted from workers.",
                 &CoreStats::generated_tokens);
  merged.counter(
      "discarded_tokens_total",
      "Tokens that came for a choice behind its stop string, while others of its prompt went "
      "on or in the same step.",
      &CoreStats::discarded_tokens);
  merged.counter("cancelled_total", "Requests whose client hung up.", &CoreStats::cancelled);
  merged.counter("bounces_total", "Refusals by workers that were answered by another attempt.",
                 &CoreStats::bounces);
  merged.counter("replaced_total", "Attempts lost with their worker and placed again.",
                 &CoreStats::replaced);
  merged.counter("failed_streams_total", "Streams that ended with an error frame.",
                 &CoreStats::failed_streams);
  merged.counter("turned_away_total", "Connections refused because as many were open as may be.",
                 call.router.turned_away.value());
  merged.workers();
  merged.telemetry();
  add_routing_metrics(call.router, merged.families);
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = prometheus::TextSerializer().Serialize(merged.families);
  respond(call, std::move(response));
}

}  // namespace bessemer
