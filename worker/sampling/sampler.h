// Draws one token from one row of logits: a pure function of (logits, history, params).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "worker/sampling/params.h"

namespace bessemer {

// All that the draw depends on besides the logits. The spans are SamplingParams' ranges, resolved.
struct SampleInput {
  const SamplingParams* params = nullptr;
  std::span<const int32_t> stop_ids, bias_ids, allowed_ids, banned;
  std::span<const float> bias;
  std::span<const int32_t> history;  // prompt and output so far; the token drawn gets position history.size()
  int32_t prompt_len = 0;
  int32_t choice = 0;                // of n; part of the noise's key
  int32_t top_logprobs = -1;         // -1: none; 0: the chosen token only
};

struct SampleOutput {
  int32_t token = -1;
  Fault fault = Fault::ok;           // numeric: NaN logits, or nothing left to draw from
  std::vector<Logprob> logprobs;     // [0] the chosen token, then top_logprobs by (value descending, id ascending)
};

// `logits`: one row, vocabulary wide; left unchanged.
// Order: bias and bans, penalties, logprobs are of the untouched logits; temperature; top_k, typical_p, top_p, min_p; race.
SampleOutput sample_row(std::span<const float> logits, const SampleInput& input);

// Log-probability and rank of `target` under the row, and its `top` best alternatives behind it.
std::vector<Logprob> score_row(std::span<const float> logits, int32_t target, int32_t top);

}  // namespace bessemer
