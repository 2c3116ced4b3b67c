// All that crosses between scheduling and compute. Flat values: no pointer, handle or text, so that
// a plan can be logged, replayed, compared between ranks and sent to a rank in another process.
// Plans are DELTAS to the ranks' slot tables, applied in StepId order.
//
// Invariants
//   P1  A slot opens once and closes once; it can be opened again after its close.
//   P2  A slot has at most one Work per program and step.
//   P3  The sums of rows, logit rows and slots stay within Limits.
//   P4  Grow has reserved KV for begin + count of each Work in flight, counting every draft as
//       accepted.
//   P5  Same plans => same StepResult digest on each rank.
#pragma once
#include <cstdint>
#include <vector>

#include "common/range.h"
#include "worker/sampling/params.h"

namespace bessemer {

using StepId = uint64_t;

// Facts: model and backend -> engine, once, at start.

enum class Retain : uint8_t {
  all,
  window,
  fixed,  // written once by an Encode (cross attention)
};
struct KvGroup {
  Retain retain = Retain::all;
  int32_t block_tokens = 16, block_count = 0, window = 0, sinks = 0;
  uint64_t block_bytes = 0;
};
struct Limits {
  int32_t slots = 0;       // sequences open at once
  int32_t rows = 0;        // tokens in one step
  int32_t logit_rows = 0;  // rows of one step whose logits are wanted
  int32_t max_len = 0;     // tokens of one sequence, prompt and output
  int32_t vocab_size = 0;  // token ids are below it; 0: not said, ids are checked for sign only
  int32_t drafts = 0;      // proposed tokens per Work
  int32_t steps_in_flight = 1;  // 1 on a CPU, 2 on a GPU, stages + 1 in a pipeline
  std::vector<KvGroup> groups;  // empty: encoder-only model
};

// Slot: one row of the ranks' tables (token history, length, block tables, sampler state), reused
// after close.

struct Open {
  int32_t slot = 0, choice = 0;
  int32_t prompt_len = 0;   // penalties and min_tokens count from here
  Range history;            // tokens: prompt + what was already accepted (resumed, preempted)
  SamplingParams sampling;  // its ranges point into tokens and floats of the same plan
};
// ints: table[group][at + i] = blocks[i], behind the table's end or in the place of blocks that hold
// the same; -1 = left the window.
struct Grow {
  int32_t slot = 0, group = 0, at = 0;
  Range blocks;
};
enum class Tier : uint8_t { device, host, remote };
// device -> device (copy on write) happens before this step's rows; anything else is asynchronous:
// both blocks stay held until the id comes back in StepResult::moves.
struct Move {
  uint64_t id = 0;
  int32_t group = 0;
  Tier from_tier = Tier::device, to_tier = Tier::device;
  int32_t from = 0, to = 0;
};

enum class Want : uint8_t {
  nothing,
  sample,
  score,             // log p(history[i + 1]) of every row whose successor is in the history
  score_and_sample,  // both, the sample of the last row: the last chunk of a prompt with logprobs
};
// begin = the slot's length on the device: where the step before ends, known there before the host
// knows it.
constexpr int32_t kAtLength = -1;
// One slot's rows; the order of the Works is the order of the rows. Ids are the slot's own
// history[begin, begin + count).
struct Work {
  int32_t slot = 0;
  int32_t begin = 0, count = 0;
  Want want = Want::nothing;
  int8_t top_logprobs = -1;    // of the sampled token; -1: none
  int8_t score_logprobs = -1;  // alternatives per scored row; meaningful with score only
};
struct StepPlan {
  StepId id = 0;
  std::vector<int32_t> close;  // applied first
  std::vector<Open> open;
  std::vector<Grow> grow;
  std::vector<Move> moves;
  std::vector<Work> work;
  std::vector<int32_t> tokens, ints;
  std::vector<float> floats;
};

// One per Work. No finish reason: the engine decides that at commit and drops tokens after the
// stop.
struct Outcome {
  Range tokens;    // StepResult::tokens: what was sampled, 0 or 1 without drafts
  Range logprobs;  // StepResult::logprobs: of the sampled token, chosen first
  Range scores;    // StepResult::logprobs: per scored row 1 + score_logprobs entries, or as
                   // many as the vocabulary has; fewer: a row was no distribution (numeric)
  Fault fault = Fault::ok;  // this slot alone
};
struct StepResult {
  StepId id = 0;
  Fault fault = Fault::ok;  // group_lost: every launched step is void, all slots are gone
  std::vector<Outcome> outcomes;
  std::vector<int32_t> tokens;
  std::vector<Logprob> logprobs;
  std::vector<uint64_t> moves, failed_moves;  // completed since the last result
  uint64_t digest = 0;                        // of the tokens sampled; equal on every rank
  int64_t device_ns = 0;
};

}  // namespace bessemer
