#include "worker/runner/batch_builder.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr bool wants_score(Want want) {
  return want == Want::score || want == Want::score_and_sample;
}
constexpr bool wants_sample(Want want) {
  return want == Want::sample || want == Want::score_and_sample;
}

int32_t blocks_for(int32_t tokens, int32_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}

// The rows [begin, end) of one slot's history.
void add_rows(const Slot& slot, int32_t begin, int32_t end, StepInputs& inputs) {
  inputs.ids.insert(inputs.ids.end(), slot.history.begin() + begin, slot.history.begin() + end);
  for (int32_t position = begin; position < end; ++position) inputs.positions.push_back(position);
  inputs.query_start.push_back(static_cast<int32_t>(inputs.ids.size()));
}

void add_storage(const std::vector<int32_t>& table, int32_t block_tokens, int32_t begin,
                 int32_t end, StepInputs::Group& group) {
  CHECK(static_cast<size_t>(blocks_for(end, block_tokens)) <= table.size());  // P4
  for (int32_t position = begin; position < end; ++position) {
    const int32_t block = table[static_cast<size_t>(position / block_tokens)];
    CHECK(block >= 0);  // P4
    group.store_at.push_back(block * block_tokens + position % block_tokens);
  }
  group.kv_len.push_back(end);
}

// Rows whose successor is in the history are scored, then the last row is drawn from.
void add_outputs(const Slot& slot, const Work& work, int32_t index, int32_t begin, int32_t end,
                 PreparedStep& step) {
  const auto row_of = [&](int32_t position) {
    return static_cast<int32_t>(step.inputs.ids.size()) - (end - position);
  };
  if (wants_score(work.want)) {
    const int32_t scored = std::min(end, static_cast<int32_t>(slot.history.size()) - 1);
    if (scored > begin) {
      const auto first_target = slot.history.begin() + begin + 1;
      step.scores.push_back(
          {index, static_cast<int32_t>(step.inputs.out_rows.size()),
           append(step.targets, std::span(first_target, static_cast<size_t>(scored - begin))),
           std::max<int32_t>(work.score_logprobs, 0)});
      for (int32_t position = begin; position < scored; ++position)
        step.inputs.out_rows.push_back(row_of(position));
    }
  }
  if (wants_sample(work.want)) {
    CHECK(static_cast<size_t>(end) ==
          slot.history.size());  // R2: the token drawn is the history's next
    step.draws.push_back({index, static_cast<int32_t>(step.inputs.out_rows.size())});
    step.inputs.out_rows.push_back(row_of(end - 1));
  }
}

// Block tables side by side, now that the longest is known.
void add_tables(const StepPlan& plan, const SlotTable& slots, const Limits& limits,
                PreparedStep& step) {
  for (size_t g = 0; g < limits.groups.size(); ++g) {
    StepInputs::Group& group = step.inputs.groups[g];
    group.table_stride = blocks_for(step.longest_kv, limits.groups[g].block_tokens);
    for (size_t w = 0; w < plan.work.size(); ++w) {
      if (step.end[w] < 0) continue;
      const auto& table = slots.at(plan.work[w].slot).tables[g];
      const int32_t used = blocks_for(step.end[w], limits.groups[g].block_tokens);
      group.table.insert(group.table.end(), table.begin(), table.begin() + used);
      group.table.insert(group.table.end(), static_cast<size_t>(group.table_stride - used), -1);
    }
  }
}

}  // namespace

void PreparedStep::clear() {
  inputs.ids.clear();
  inputs.positions.clear();
  inputs.query_start.assign(1, 0);
  inputs.out_rows.clear();
  for (StepInputs::Group& group : inputs.groups) {
    group.store_at.clear();
    group.table.clear();
    group.kv_len.clear();
    group.table_stride = 0;
  }
  draws.clear();
  scores.clear();
  targets.clear();
  end.clear();
  longest_query = longest_kv = 0;
}

void prepare_step(const StepPlan& plan, const SlotTable& slots, const Limits& limits,
                  PreparedStep& step) {
  step.inputs.groups.resize(limits.groups.size());
  step.clear();
  for (size_t w = 0; w < plan.work.size(); ++w) {
    const Work& work = plan.work[w];
    const Slot& slot = slots.at(work.slot);
    CHECK(slot.open && work.count >= 1);
    step.end.push_back(-1);
    if (slot.fault != Fault::ok) continue;  // R3
    const int32_t begin = begin_of(slot, work), end = begin + work.count;
    CHECK(begin >= 0 && static_cast<size_t>(end) <= slot.history.size());
    step.end.back() = end;
    add_rows(slot, begin, end, step.inputs);
    for (size_t g = 0; g < limits.groups.size(); ++g) {
      add_storage(slot.tables[g], limits.groups[g].block_tokens, begin, end, step.inputs.groups[g]);
    }
    add_outputs(slot, work, static_cast<int32_t>(w), begin, end, step);
    step.longest_query = std::max(step.longest_query, work.count);
    step.longest_kv = std::max(step.longest_kv, end);
  }
  CHECK(std::ssize(step.inputs.ids) <= limits.rows &&
        std::ssize(step.inputs.out_rows) <= limits.logit_rows);  // P3
  add_tables(plan, slots, limits, step);
}

}  // namespace bessemer
