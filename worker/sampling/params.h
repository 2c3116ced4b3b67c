// What a request says of sampling: flat values, a leaf header shared by engine, backend and runner.
#pragma once
#include <cstdint>

#include "common/range.h"

namespace bessemer {

// What went wrong with one outcome, one step or one group of ranks; the last three are the engine's
// own verdicts.
enum class Fault : uint8_t {
  ok,
  bad_request,  // the request's own bans left nothing to draw from
  numeric,      // NaN or infinity in the model's logits
  device,       // a step failed; the device goes on
  group_lost,   // a rank died: every launched step is void, all slots are gone
  deadline,     // the request's deadline passed
  shutdown,     // the engine was stopped
  no_room,      // nothing is running and still it cannot run (E6)
};

// The ranges point into the arrays of the struct that carries these params (StepPlan: tokens and
// floats).
struct SamplingParams {
  uint64_t seed = 0;
  float temperature = 1.0f;        // 0: greedy
  float top_p = 1.0f;              // in (0, 1]; 1: off
  float min_p = 0.0f;              // in [0, 1]; 0: off
  float typical_p = 1.0f;          // in (0, 1]; 1: off
  int32_t top_k = 0;               // 0: off
  float frequency_penalty = 0.0f;  // subtracted once per earlier occurrence in the output
  float presence_penalty = 0.0f;   // subtracted once if the token occurred in the output
  float repetition_penalty =
      1.0f;  // divides positive, multiplies negative logits of tokens in prompt or output
  int32_t min_tokens = 0;    // stop_ids cannot be drawn before this many output tokens
  Range stop_ids{};          // tokens
  Range bias_ids{}, bias{};  // tokens, floats: added to the logits, same count
  Range allowed_ids{};       // tokens; empty: all
  Range banned{};  // tokens: sequences as (length, ids...) one after the other; the last id of a
                   // sequence cannot be drawn when the others are the end of the history
};

// One alternative as the API reports it: of the model's own distribution, before temperature and
// truncation.
struct Logprob {
  int32_t token;
  float value;   // natural logarithm
  int32_t rank;  // 1: the most likely token
};

}  // namespace bessemer
