// What the service knows of the worker it stands for: settled at start, then constant.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "worker/service/grants.h"

namespace bessemer {

// The version of the session's rules (proto/README.md) that this build speaks.
constexpr uint32_t kProtocolMin = 1, kProtocolMax = 1;

// A frame of either direction. Longer inputs travel as Chunk, longer outputs as several
// StepBatches.
constexpr uint32_t kMaxFrameBytes = 256 << 10;
// Alternatives per token: the OpenAI API asks for 20 at most.
constexpr int32_t kMaxLogprobs = 20;

struct WorkerFacts {
  v1::ModelCard card;
  std::string vocabulary;                  // the serialised v1::Vocabulary
  std::vector<int32_t> end_of_generation;  // ids after which generation ends
  int32_t max_len = 0;                     // tokens of one sequence
  int32_t max_choices = 0;                 // n of one request
  uint64_t incarnation = 0;                // random per process
  std::string node, version;
  std::vector<uint32_t> features;  // proto/features.md
};

// Cancel.reason: what is left of the attempt goes on elsewhere, so it ends with Handoff.
constexpr uint32_t kCancelToHandOff = 1;

struct SessionLimits {
  int32_t lease_ms = 3000;  // a peer silent for this long is gone
  int32_t ping_ms = 1000;
  int32_t orphan_ms = 2000;     // how long attempts outlive their lane, for Attach
  int32_t max_attempts = 1024;  // alive on one lane
  // Held for inputs that are not complete, per lane: 4 Mi ids, and as much again for parameters.
  int64_t max_assembling_bytes = 32 << 20;
  size_t max_pending_bytes = 4 << 20;  // frames that wait for the peer to read
  GrantLimits grant;
};

// All features that this build offers.
std::vector<uint32_t> offered_features();

}  // namespace bessemer
