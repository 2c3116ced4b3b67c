// Whether a collector is asked again.
#pragma once

namespace bessemer {

// OTLP/HTTP's retryable statuses; everything else that is not 2xx is final.
inline bool otlp_retryable(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

}  // namespace bessemer
