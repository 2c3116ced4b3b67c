// What is left of a tenant's limits, as OpenAI's headers say it.
#pragma once
#include <string>

#include "router/http/exchange.h"
#include "router/tenants/rate_limiter.h"

namespace bessemer {

// x-ratelimit-limit-requests, -remaining-requests, -reset-requests, and the same of tokens; nothing
// of a limit that there is not.
void add_rate_headers(Exchange& exchange, const RateStates& states);

// "1h2m3s", "6m0s", "1.5s", "20ms".
std::string spell_duration(Duration duration);

}  // namespace bessemer
