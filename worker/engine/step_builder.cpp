#include "worker/engine/step_builder.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace bessemer {
namespace {

// Sampling parameters point into the arrays of the struct that carries them: from the request's to
// the plan's.
SamplingParams carry_over(const Request& request, StepPlan& plan) {
  SamplingParams params = request.sampling;
  for (Range* range : {&params.stop_ids, &params.bias_ids, &params.allowed_ids, &params.banned}) {
    *range = append(plan.tokens, slice(request.tokens, *range));
  }
  params.bias = append(plan.floats, slice(request.floats, params.bias));
  return params;
}

}  // namespace

void StepBuilder::open(const Sequence& sequence) {
  const ActiveRequest& request = *sequence.request;
  Open open;
  open.slot = sequence.slot;
  open.choice = sequence.choice;
  open.prompt_len = request.prompt_len();
  open.history = append(plan_.tokens, request.request.prompt);
  open.history.count += append(plan_.tokens, sequence.output).count;
  open.sampling = carry_over(request.request, plan_);
  plan_.open.push_back(open);
}

void StepBuilder::grow(Sequence& sequence) {
  for (size_t g = 0; g < sequence.kv.groups.size(); ++g) {
    const auto& blocks = sequence.kv.groups[g].blocks;
    int32_t& told = sequence.told[g];
    const int32_t end = static_cast<int32_t>(blocks.size());
    if (told == end) continue;
    Grow grow{sequence.slot,
              static_cast<int32_t>(g),
              told,
              {static_cast<int32_t>(plan_.ints.size()), end - told}};
    for (; told < end; ++told) plan_.ints.push_back(blocks[static_cast<size_t>(told)].id());
    plan_.grow.push_back(grow);
  }
}

void StepBuilder::work(Sequence& s, const Chunk& chunk) {
  CHECK(chunk.count >= 1 && chunk.count <= rows_left_ && chunk.logit_rows() <= logit_rows_left_);
  rows_left_ -= chunk.count;
  logit_rows_left_ -= chunk.logit_rows();
  const ActiveRequest& request = *s.request;
  const bool draws = chunk.want == Want::sample || chunk.want == Want::score_and_sample;
  const bool scores = chunk.want == Want::score || chunk.want == Want::score_and_sample;
  Work work;
  work.slot = s.slot;
  work.begin = s.drawing > 0 ? kAtLength : s.computed;
  work.count = chunk.count;
  work.want = chunk.want;
  work.top_logprobs = static_cast<int8_t>(draws ? request.request.top_logprobs : -1);
  work.score_logprobs = static_cast<int8_t>(scores ? request.request.prompt_logprobs : -1);
  plan_.work.push_back(work);
  launched_.works.push_back({&s, s.computed, chunk.count, chunk.want});
  launched_.rows += chunk.count;
  if (draws && chunk.count == 1) ++launched_.streams;
  const int32_t end = s.computed + chunk.count;
  const int32_t to_fill = std::max(request.prompt_len(), s.high_water);
  launched_.prefill_rows += std::clamp(to_fill - s.computed, 0, chunk.count);
  s.computed = end;
  s.drawing += draws ? 1 : 0;
  ++s.in_flight;
}

StepPlan StepBuilder::finish(StepId id, TimePoint now, std::vector<int32_t> close) {
  launched_.id = plan_.id = id;
  launched_.at = now;
  plan_.close = std::move(close);
  for (const CopyOnWrite& copy : copies_) {
    Move move;
    move.id = id;
    move.group = copy.group;
    move.from = copy.from.id();
    move.to = copy.to;
    plan_.moves.push_back(move);
  }
  return std::move(plan_);
}

}  // namespace bessemer
