// Times of recorded steps: a step is recorded once and replayed, so that what is measured is the device and not the launches.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "worker/backend/backend.h"

namespace bessemer::bench {

// Seconds of one replay of `body`: the median of `rounds`, after those that record and warm up. `inputs` are uploaded before
// each. `program` names the body; each needs its own.
double time_step(Backend& backend, int32_t program, const StepInputs& inputs,
                 const std::function<void(const Batch&)>& body, int rounds = 15);

struct Figure {
  std::string name;
  double seconds = 0;
  double bytes = 0;       // that must be read or written at least once
  double operations = 0;  // a multiply-add counts as two
};

// A matrix of f32 in the backend's memory, uniform in [-0.5, 0.5).
struct Operand {
  Operand(Backend& backend, int32_t rows, int32_t cols, Random& random);
  std::unique_ptr<Buffer> buffer;
  Mat mat;
};

// Bytes of a valid weight of any format: random quants, small scales; floats between 2^-7 and 2^-5 in size.
std::vector<std::byte> random_weight(TensorType type, int32_t rows, int32_t cols, Random& random);

// One sequence a row at the end of a context of `context` positions, in blocks dealt at random out of `blocks`.
StepInputs decode_inputs(int32_t sequences, int32_t context, int32_t block_tokens, Random& random);
int32_t decode_blocks(int32_t sequences, int32_t context, int32_t block_tokens);

}  // namespace bessemer::bench
