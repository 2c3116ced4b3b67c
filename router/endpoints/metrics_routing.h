// The part of GET /metrics that says how requests are placed.
#pragma once
#include "router/endpoints/metric_families.h"

namespace bessemer {

void add_routing_metrics(const RouterContext& router, MetricFamilies& families);

}  // namespace bessemer
