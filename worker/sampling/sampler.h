// Draws one token from one row of logits: a pure function of (logits, history, params).
//
// The order of the processors
//   1  logit_bias                        added
//   2  repetition, then frequency and presence penalty
//   3  allowed tokens, banned sequences, stop_ids before min_tokens: what is forbidden becomes -inf
//   4  temperature                       below kGreedyBelow: the largest logit, lowest id; the
//                                        rest does not apply
//   5  top_k, typical_p, top_p, min_p    each over what the one before left, renormalised
//   6  exponential race                  over the survivors
// Log-probabilities are of the untouched row. Sums of probabilities run in (probability descending,
// id ascending), ties go to the lowest id, exp and log are elementary.h's: the same row gives the
// same token on every machine that follows IEEE 754.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "worker/sampling/params.h"

namespace bessemer {

// 1 / temperature magnifies the gaps between logits; from here on a gap of one float32 step at
// logit 16 (2e-6) outweighs nearly all noise, and the quotient would soon overflow.
constexpr float kGreedyBelow = 1e-6f;

// All that the draw depends on besides the logits. The spans are SamplingParams' ranges, resolved.
struct SampleInput {
  const SamplingParams* params = nullptr;
  std::span<const int32_t> stop_ids, bias_ids, allowed_ids, banned;
  std::span<const float> bias;
  std::span<const int32_t>
      history;  // prompt and output so far; the token drawn gets position history.size()
  int32_t prompt_len = 0;
  int32_t choice = 0;         // of n; part of the noise's key
  int32_t top_logprobs = -1;  // -1: none; 0: the chosen token only
};

struct SampleOutput {
  int32_t token = -1;
  // numeric: the model's row holds a NaN or +inf, or nothing above -inf. bad_request: the row was
  // sound, but bias, bans and allowed tokens left nothing to draw from. Then there is no token and
  // no logprobs.
  Fault fault = Fault::ok;
  std::vector<Logprob>
      logprobs;  // [0] the chosen token, then top_logprobs by (value descending, id ascending)
};

// `logits`: one row, vocabulary wide; left unchanged. Params must satisfy validate_sampling(). Safe
// from any thread.
SampleOutput sample_row(std::span<const float> logits, const SampleInput& input);

// True: sample_row() gives the row's largest logit, of equal ones the lowest id, or Fault::numeric,
// and no logprobs. So whoever can find that where the row lies need not fetch the row.
bool draws_the_largest(const SampleInput& input);

// Log-probability and rank of `target` under the row, and its `top` best alternatives behind it
// (the target may be among them). Empty: the row is unusable (as Fault::numeric above) or has no
// such token.
std::vector<Logprob> score_row(std::span<const float> logits, int32_t target, int32_t top);

}  // namespace bessemer
