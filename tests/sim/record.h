// What became of one turn. Times are seconds since the simulation began; before it happens, -1.
#pragma once
#include <cstdint>

namespace bessemer::sim {

enum class Outcome : uint8_t {
  pending,
  answered,
  refused,
  unasked,  // an earlier turn of its conversation was refused
};

struct Record {
  uint64_t request = 0;
  Outcome outcome = Outcome::pending;
  double asked_s = -1, first_s = -1, end_s = -1;
  double retry_after_s = -1;  // as it was told when it was turned away at the gate
  int32_t retries = 0;        // how often its client came back
  int32_t bounces = 0;        // refusals by workers
  // Tokens.
  int32_t prompt = 0, answer = 0;  // wanted
  int32_t received = 0;            // of the answer
  int32_t fresh = 0;         // of the prompt, in no earlier turn: somebody has to compute them
  int32_t predicted = 0;     // of the prompt, in the worker's cache as its router believed
  int32_t cached = 0;        // of the prompt, found
  int32_t out_of_order = 0;  // tokens that were not the next one, or not the right one

  double ttft_s() const { return first_s - asked_s; }
  // Between two tokens.
  double gap_s() const { return received < 2 ? 0 : (end_s - first_s) / (received - 1); }
  // Computed although some worker had computed them before.
  int32_t recomputed() const { return prompt - cached > fresh ? prompt - cached - fresh : 0; }
};

}  // namespace bessemer::sim
