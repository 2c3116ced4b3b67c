// The part of GET /metrics that says who was served, and whether those who were told to come back
// found their places.
#pragma once
#include "router/endpoints/metric_families.h"

namespace bessemer {

void add_tenant_metrics(const RouterContext& router, MetricFamilies& families);

}  // namespace bessemer
