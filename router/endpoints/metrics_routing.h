// The part of GET /metrics that says how requests are placed.
#pragma once
#include <vector>

#include <prometheus/metric_family.h>

#include "router/endpoints/context.h"

namespace bessemer {

void add_routing_metrics(const RouterContext& router, std::vector<prometheus::MetricFamily>& out);

}  // namespace bessemer
