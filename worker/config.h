// All that a worker process can be told: plain values with defaults, filled from YAML and flags by
// the command line, checked once, then constant.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer {

struct WorkerConfig {
  // Model
  std::string model_path;  // a .gguf file
  std::string model_name;  // what /v1/models lists; empty: general.name, else the file's stem
  std::vector<std::string> aliases;  // further names for it
  int32_t max_model_len =
      0;  // tokens of one sequence, prompt and output; 0: what the model was trained for

  // Device
  std::string backend = "auto";  // auto, cpu, reference
  std::string isa;               // CPU: empty = the best there is; scalar, avx2, avx512, amx
  int32_t threads = 0;  // this worker's share of the cores; 0: what affinity and cgroup allow

  // Memory
  int64_t kv_cache_mb =
      0;  // 0: kv_memory_fraction of the memory that is free once the weights are loaded, but no
          // more than max_sequences sequences of max_model_len tokens need
  double kv_memory_fraction = 0.3;  // the supervisor divides it by the number of workers
  std::string kv_dtype = "f16";     // f32, f16, bf16, int8

  // Scheduling
  int32_t max_sequences = 64;   // sequences that run at once
  int32_t step_tokens = 512;    // rows of one step
  int32_t stream_step_ms = 50;  // about how long a prompt's chunk may make a step with streams
  int32_t max_waiting = 256;    // requests admitted and not yet running
  bool prefix_cache = true;     // keeps full KV blocks for requests that begin alike

  // Network
  std::string host = "127.0.0.1";
  int32_t port = 0;  // 0: any free one
  int32_t ready_fd =
      1;  // gets one line "READY <host>:<port>\n" once requests are served; 1: standard output
  std::string node;                          // names the machine in Hello; empty: the host name
  int32_t max_lanes = 256;                   // sessions open at once
  int32_t max_watches = 128;                 // WatchLoad and WatchKv streams open at once
  int32_t max_lane_attempts = 1024;          // attempts alive on one lane
  std::string peer_cert, peer_key, peer_ca;  // PEM files: mutual TLS with routers; empty: plain
  int32_t lease_ms = 3000;                   // a peer silent for this long is gone
  int32_t orphan_ms = 2000;  // how long attempts outlive their lane, for a router that attaches
  int32_t drain_ms = 30000;  // SIGTERM: how long running requests may take to finish
};

// InvalidArgument names the first value that cannot be, and what it may be.
Status validate(const WorkerConfig& config);

}  // namespace bessemer
