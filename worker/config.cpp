#include "worker/config.h"

#include <initializer_list>

#include <fmt/format.h>

#include "worker/backend/kv.h"

namespace bessemer {
namespace {

struct Bound {
  const char* name;
  int64_t value, low, high;
};

Status check_bounds(std::initializer_list<Bound> bounds) {
  for (const Bound& b : bounds) {
    if (b.value >= b.low && b.value <= b.high) continue;
    return absl::InvalidArgumentError(fmt::format("worker: {} = {} is out of range: give {} to {}",
                                                  b.name, b.value, b.low, b.high));
  }
  return absl::OkStatus();
}

// A part of it would look like security and be none.
Status check_peer_settings(const WorkerConfig& config) {
  const bool none = config.peer_cert.empty() && config.peer_key.empty() && config.peer_ca.empty();
  const bool all = !config.peer_cert.empty() && !config.peer_key.empty() && !config.peer_ca.empty();
  if (none || all) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "worker: peer_cert, peer_key and peer_ca go together: give all three, or none");
}

}  // namespace

Status validate(const WorkerConfig& config) {
  if (config.model_path.empty()) {
    return absl::InvalidArgumentError("worker: no model given: pass --model PATH.gguf");
  }
  if (!kv_dtype_of(config.kv_dtype)) {
    return absl::InvalidArgumentError("worker: kv_dtype = \"" + config.kv_dtype +
                                      "\" is not known: give f32, f16, bf16 or int8");
  }
  if (!(config.kv_memory_fraction > 0.0 && config.kv_memory_fraction <= 0.95)) {
    return absl::InvalidArgumentError(
        fmt::format("worker: kv_memory_fraction = {} is out of range: give 0.01 to 0.95",
                    config.kv_memory_fraction));
  }
  RETURN_IF_ERROR(check_peer_settings(config));
  constexpr int64_t kDayMs = 86'400'000;
  return check_bounds({
      {"max_model_len", config.max_model_len, 0, 16 << 20},
      {"threads", config.threads, 0, 1024},
      {"kv_cache_mb", config.kv_cache_mb, 0, int64_t{64} << 20},
      {"max_sequences", config.max_sequences, 1, 4096},
      {"step_tokens", config.step_tokens, 1, 65536},
      {"stream_step_ms", config.stream_step_ms, 0, 60'000},
      {"max_waiting", config.max_waiting, 1, 65536},
      {"port", config.port, 0, 65535},
      {"ready_fd", config.ready_fd, 0, 1 << 20},
      {"max_lanes", config.max_lanes, 1, 65536},
      {"max_watches", config.max_watches, 1, 65536},
      {"max_lane_attempts", config.max_lane_attempts, 1, 65536},
      {"lease_ms", config.lease_ms, 500, 600'000},
      {"orphan_ms", config.orphan_ms, 0, 600'000},
      {"drain_ms", config.drain_ms, 0, kDayMs},
  });
}

}  // namespace bessemer
