#include "worker/sampling/sampler.h"

#include "worker/sampling/adjust.h"
#include "worker/sampling/race.h"
#include "worker/sampling/row.h"
#include "worker/sampling/truncate.h"

namespace bessemer {
namespace {

// Room that a thread keeps between rows. Holds no state: what a row leaves behind is never read by
// the next.
struct Scratch {
  std::vector<float> row;
  std::vector<int32_t> counts;
  std::vector<TokenCandidate> candidates;
};
Scratch& scratch() {
  thread_local Scratch room;
  return room;
}

std::span<const float> adjusted(std::span<const float> logits, const SampleInput& input) {
  Scratch& room = scratch();
  room.row.assign(logits.begin(), logits.end());
  room.counts.resize(logits.size());
  adjust(room.row, input, room.counts);
  return room.row;
}

int32_t draw(std::span<const float> row, const RowMax& max, const SampleInput& input) {
  const SamplingParams& params = *input.params;
  if (params.temperature < kGreedyBelow) return max.id;
  const NoiseKey key{params.seed, static_cast<uint32_t>(input.choice),
                     static_cast<uint32_t>(input.history.size())};
  if (!needs_truncation(params)) return race_row(row, max, params.temperature, key);
  truncate(row, max, params, scratch().candidates);
  return race(scratch().candidates, key);
}

SampleOutput failed(Fault fault) {
  SampleOutput output;
  output.fault = fault;
  return output;
}

}  // namespace

bool draws_the_largest(const SampleInput& input) {
  return input.params->temperature < kGreedyBelow && input.top_logprobs < 0 &&
         !needs_adjustment(input);
}

SampleOutput sample_row(std::span<const float> logits, const SampleInput& input) {
  const RowMax model_max = find_max(logits);
  if (!model_max.usable) return failed(Fault::numeric);
  std::span<const float> row = logits;
  RowMax max = model_max;
  if (needs_adjustment(input)) {
    row = adjusted(logits, input);
    max = find_max(row);
    if (!max.usable) return failed(Fault::bad_request);
  }
  SampleOutput output;
  output.token = draw(row, max, input);
  if (input.top_logprobs >= 0) {
    output.logprobs = score_row(logits, model_max, output.token, input.top_logprobs);
  }
  return output;
}

}  // namespace bessemer
