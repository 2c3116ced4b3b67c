// What enters and leaves the engine: values only, in token ids.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "worker/sampling/params.h"

namespace bessemer {

// Names a request within this worker process; the service hands them out, rising, never reused.
enum class AttemptId : uint64_t {};

// What a choice of an interrupted request had delivered elsewhere.
struct Resumed {
  std::vector<int32_t> ids;
  bool ended = false;  // nothing more of it is wanted
};

struct Request {
  AttemptId id{};
  std::vector<int32_t> prompt;  // at least one token
  int32_t n = 1;                // choices
  int32_t max_tokens = 0;       // output tokens per choice; at least 1
  SamplingParams sampling;      // its ranges point into `tokens` and `floats`
  std::vector<int32_t> tokens;
  std::vector<float> floats;
  int32_t top_logprobs = -1;     // alternatives per output token; -1: no logprobs
  int32_t prompt_logprobs = -1;  // the same per prompt token
  // Output tokens per choice that the receiver takes for now; credit raises it. 0: no limit.
  int32_t send_until = 0;
  int32_t priority = 0;  // higher goes first
  TimePoint deadline = TimePoint::max();
  int64_t max_ttft_us = 0;  // refused if its first token is expected later; 0: whenever
  // Whose prefixes it may share: bytes that only requests of equal ones have; none: everybody's.
  std::string cache_root;
  bool cache_store = true;  // what it computes may be shared with later requests
  // One per choice where the request goes on after an interruption, else none. All that depends on
  // history is as if it had run here: offsets, max_tokens, min_tokens, penalties and noise.
  std::vector<Resumed> resumed;
};

enum class EndReason : uint8_t { stop, length, cancelled };
enum class RejectReason : uint8_t { too_slow, queue_full, draining, too_large, bad_input };

// In tokens.
struct Usage {
  int32_t prompt = 0;
  int32_t cached = 0;      // of the prompt, found in the prefix cache when it started
  int32_t recomputed = 0;  // rows computed again: after a preemption, or since it was resumed
  std::vector<int32_t> generated;  // per choice, as delivered: without the stop id
};
// 0: it did not come to that.
struct Timing {
  int64_t queued_us = 0;       // from arrival to the first step
  int64_t prefill_us = 0;      // from there to the first token
  int64_t first_token_us = 0;  // from arrival
  int64_t total_us = 0;        // from arrival
  int32_t preemptions = 0;
};

// Events of one attempt, in order: Admitted or Rejected; then Progress, PromptScores, Tokens and
// ChoiceEnd; then one terminal event, Done or Failed (a Rejected is terminal too). E3: nothing
// after it.
struct Admitted {
  int32_t queue_position = 0;  // requests that wait before it
  int64_t backlog_tokens = 0;  // prompt tokens to be computed before its own
  int32_t matched_tokens = 0;  // of its prompt, in the prefix cache as it came
  int64_t est_ttft_us = 0;     // until its first token; 0: not known yet
};
struct Rejected {
  RejectReason reason;
  std::string detail;
  int32_t matched_tokens = 0;  // too_slow: as in Admitted
  int64_t est_ttft_us = 0;
};
// Tokens computed so far, of the prompt and of what was delivered elsewhere; at most one a step.
struct Progress {
  int32_t prefilled = 0;
};
// Of prompt[first], prompt[first + 1] ...: the token itself, then its alternatives. The parts of
// one request follow each other without a gap, from prompt[1] on.
struct PromptScores {
  int32_t first = 0;
  int32_t per_token = 0;  // entries
  std::vector<Logprob> logprobs;
};
struct Tokens {
  int32_t choice = 0;
  int32_t offset = 0;  // output tokens of this choice before these
  std::vector<int32_t> ids;
  std::vector<Logprob> logprobs;  // 1 + top_logprobs per id, the chosen first; or none at all
};
struct ChoiceEnd {
  int32_t choice = 0;
  EndReason reason{};
  int32_t stop_id = -1;    // what was drawn and is no part of the output; -1: another reason
  int32_t end_offset = 0;  // output tokens delivered
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

// Nothing follows of this attempt.
inline bool is_terminal(const EngineEvent& event) {
  return std::holds_alternative<Rejected>(event.what) || std::holds_alternative<Done>(event.what) ||
         std::holds_alternative<Failed>(event.what);
}

}  // namespace bessemer
