// What enters and leaves the engine: values only, in token ids.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "worker/sampling/params.h"

namespace bessemer {

// Names an admitted request within this worker process; the service hands them out, rising, never
// reused.
enum class AttemptId : uint64_t {};

struct Request {
  AttemptId id{};
  std::vector<int32_t> prompt;  // at least one token
  int32_t n = 1;                // choices
  int32_t max_tokens = 0;       // output tokens per choice; at least 1
  SamplingParams sampling;  // its ranges point into `tokens` and `floats`; stop_ids end a choice
  std::vector<int32_t> tokens;
  std::vector<float> floats;
  int32_t top_logprobs = -1;     // -1: none
  int32_t prompt_logprobs = -1;  // -1: none
  int32_t priority = 0;          // higher goes first
  TimePoint deadline = TimePoint::max();
};

enum class EndReason : uint8_t { stop, length, cancelled };
enum class RejectReason : uint8_t { queue_full, draining, too_large, bad_input };

struct Usage {
  int32_t prompt = 0, cached = 0, recomputed = 0;
  std::vector<int32_t> generated;  // per choice
};
struct Timing {
  int64_t queued_us = 0, prefill_us = 0, first_token_us = 0, total_us = 0;
  int32_t preemptions = 0;
};

// Events of one attempt, in order: Admitted or Rejected; then Progress, PromptLogprobs, Tokens,
// ChoiceEnd; then one terminal event, Done or Failed (a Rejected is terminal too). E3: nothing
// after it.
struct Admitted {
  int32_t queue_position = 0;
  int64_t backlog_tokens = 0;
};
struct Rejected {
  RejectReason reason;
  std::string detail;
};
struct Progress {
  int32_t prefilled = 0;
};  // prompt tokens computed so far, at most one per step
struct PromptScores {
  int32_t first = 0;
  int32_t per_token = 0;
  std::vector<Logprob> logprobs;
};  // of prompt[first...]
struct Tokens {
  int32_t choice = 0, offset = 0;  // offset: output tokens of this choice before these
  std::vector<int32_t> ids;
  std::vector<Logprob>
      logprobs;  // per id: 1 + top_logprobs entries, the chosen first; empty without logprobs
};
struct ChoiceEnd {
  int32_t choice = 0;
  EndReason reason{};
  int32_t stop_id = -1;
  int32_t end_offset = 0;
};
struct Done {
  Usage usage;
  Timing timing;
};
struct Failed {
  Fault fault{};
  std::string detail;
};

struct EngineEvent {
  AttemptId attempt{};
  std::variant<Admitted, Rejected, Progress, PromptScores, Tokens, ChoiceEnd, Done, Failed> what;
};

}  // namespace bessemer
