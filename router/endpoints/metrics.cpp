// GET /metrics: the counters of all cores, merged now, in Prometheus' text format.
#include <functional>
#include <utility>

#include <prometheus/text_serializer.h>

#include "router/endpoints/metric_families.h"
#include "router/endpoints/metrics_routing.h"
#include "router/endpoints/metrics_tenants.h"
#include "router/endpoints/table.h"

namespace bessemer {
namespace {

using prometheus::ClientMetric;

void add_requests(const RouterContext& router, MetricFamilies& families) {
  MetricFamilies::Metrics metrics;
  for (EndpointId endpoint = 0; endpoint <= no_endpoint(); endpoint++) {
    const auto path =
        endpoint < no_endpoint() ? endpoint_table()[endpoint].path : std::string_view("none");
    for (size_t i = 0; i < kStatuses.size(); i++) {
      uint64_t total = 0;
      for (const auto& core : router.cores) total += core->stats.requests[endpoint][i].value();
      if (total == 0) continue;
      metrics.push_back(MetricFamilies::labelled(
          {{"endpoint", std::string(path)}, {"status", std::to_string(kStatuses[i])}}, total));
    }
  }
  families.add("requests_total",
               "Answered requests by endpoint (none: an unknown path, or not HTTP that could be "
               "read) and status (499: the client hung up).",
               MetricFamilies::Type::Counter, std::move(metrics));
}

void add_failover(const RouterContext& router, MetricFamilies& families) {
  MetricFamilies::Metrics metrics;
  for (size_t cause = 0; cause < kLossCauses; cause++) {
    uint64_t total = 0;
    for (const auto& core : router.cores) total += core->stats.resumes[cause].value();
    metrics.push_back(MetricFamilies::labelled(
        {{"cause", loss_cause_name(static_cast<LossCause>(cause))}}, total));
  }
  families.add("resumes_total",
               "Times that an answer went on on another worker behind what was delivered, by how "
               "the one before was lost.",
               MetricFamilies::Type::Counter, std::move(metrics));
  families.histogram("failover_gap_seconds",
                     "Between the last token before a loss and the first one after it.",
                     &CoreStats::failover_gap);
  families.counter("resume_recomputed_tokens_total",
                   "Tokens of prompts and answers that resumes did not find in a cache.",
                   &CoreStats::recomputed_tokens);
  families.counter("resumes_foreign_numerics_total",
                   "Resumes on workers of other numerics, where none of the same was left.",
                   &CoreStats::foreign_numerics);
  families.counter("poisoned_total",
                   "Requests given up since a worker crashed while it computed nothing else.",
                   &CoreStats::poisoned);
  families.counter("journals_given_up_total",
                   "Requests that cannot be resumed for want of journal memory.",
                   &CoreStats::journals_given_up);
  families.gauge("journal_bytes_free", "Memory that journals may still take.",
                 static_cast<double>(router.journals->left()));
}

void add_workers(const ClusterView& view, MetricFamilies& families) {
  MetricFamilies::Metrics metrics;
  for (const auto& worker : view.workers) {
    if (worker.state == WorkerState::absent) continue;
    ClientMetric metric;
    metric.label = {{"worker", worker.address}};
    metric.gauge.value = worker.state == WorkerState::ready ? 1 : 0;
    metrics.push_back(std::move(metric));
  }
  families.add("worker_ready", "1 while the worker takes requests from this router.",
               MetricFamilies::Type::Gauge, std::move(metrics));
}

void add_telemetry(const RouterContext& router, MetricFamilies& families) {
  if (router.access_log != nullptr) {
    families.counter("access_log_dropped_total", "Lines of the access log that were lost.",
                     router.access_log->dropped());
  }
  if (router.exporter == nullptr) return;
  const ExportCounts counts = router.exporter->counts();
  families.counter("spans_exported_total", "Spans that the collector has taken.", counts.sent);
  families.counter(
      "spans_dropped_total",
      "Spans that were lost: refused by the collector, or given up (of a full queue: requests).",
      counts.dropped);
  families.counter("span_posts_retried_total", "Posts to the collector that were made again.",
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
  MetricFamilies families(call.router);
  add_requests(call.router, families);
  families.gauge(
      "requests_in_flight", "Requests from their first byte until their answer has left.",
      sum_over_cores(call.router, [](const Core& core) { return core.live_requests(); }));
  families.gauge("connections", "Open client connections.",
                 sum_over_cores(call.router, [](const Core& core) { return core.connections(); }));
  families.gauge("waiting", "Requests that wait in the router for room in a worker.",
                 call.router.waiting());
  families.histogram("time_to_first_token_seconds",
                     "From the request's last byte to its first token.", &CoreStats::ttft);
  families.histogram("inter_token_latency_seconds", "Between arrivals of a choice's tokens.",
                     &CoreStats::inter_token);
  families.histogram("request_seconds", "From the request's last byte to the end of its answer.",
                     &CoreStats::request);
  families.counter("prompt_tokens_total", "Tokens of admitted prompts.", &CoreStats::prompt_tokens);
  families.counter("cached_tokens_total", "Those of them that workers had in their cache.",
                   &CoreStats::cached_tokens);
  families.counter("generated_tokens_total", "Tokens accepted from workers.",
                   &CoreStats::generated_tokens);
  families.counter(
      "discarded_tokens_total",
      "Tokens that came for a choice behind its stop string, while others of its prompt went "
      "on or in the same step.",
      &CoreStats::discarded_tokens);
  families.counter("cancelled_total", "Requests whose client hung up.", &CoreStats::cancelled);
  families.counter("bounces_total", "Refusals by workers that were answered by another attempt.",
                   &CoreStats::bounces);
  families.counter("replaced_total", "Attempts lost with their worker and placed again.",
                   &CoreStats::replaced);
  families.counter("failed_streams_total", "Streams that ended with an error frame.",
                   &CoreStats::failed_streams);
  families.counter("turned_away_total", "Connections refused because as many were open as may be.",
                   call.router.turned_away.value());
  add_failover(call.router, families);
  add_workers(*call.core.view, families);
  add_telemetry(call.router, families);
  add_routing_metrics(call.router, families);
  add_tenant_metrics(call.router, families);
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = prometheus::TextSerializer().Serialize(families.all());
  respond(call, std::move(response));
}

}  // namespace bessemer
