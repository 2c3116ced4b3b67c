#include "worker/runner/slot_table.h"

#include "common/check.h"

namespace bessemer {
namespace {

// Copies what `range` names in `from` to the end of `to` and points the range at the copy.
template <typename T>
void adopt(Range& range, const std::vector<T>& from, std::vector<T>& to) {
  range = append(to, slice(from, range));
}

}  // namespace

SlotTable::SlotTable(const Limits& limits)
    : limits_(limits), slots_(static_cast<size_t>(limits.slots)) {
  for (Slot& slot : slots_) slot.tables.resize(limits_.groups.size());
}

Slot& SlotTable::at(int32_t slot) {
  CHECK(slot >= 0 && slot < limits_.slots);
  return slots_[static_cast<size_t>(slot)];
}
const Slot& SlotTable::at(int32_t slot) const {
  return const_cast<SlotTable*>(this)->at(slot);
}

void SlotTable::clear() {
  for (Slot& slot : slots_) slot.open = false;
}

void SlotTable::apply(const StepPlan& plan) {
  for (const int32_t index : plan.close) {
    Slot& slot = at(index);
    CHECK(slot.open);  // P1
    slot.open = false;
  }
  for (const Open& each : plan.open) open(plan, each);
  for (const Grow& each : plan.grow) grow(plan, each);
}

void SlotTable::open(const StepPlan& plan, const Open& open) {
  Slot& slot = at(open.slot);
  CHECK(!slot.open);  // P1
  CHECK(open.prompt_len >= 0 && open.prompt_len <= open.history.count &&
        open.history.count <= limits_.max_len);
  slot.open = true;
  slot.fault = Fault::ok;
  slot.choice = open.choice;
  slot.prompt_len = open.prompt_len;
  slot.length = 0;
  const auto history = slice(plan.tokens, open.history);
  slot.history.assign(history.begin(), history.end());
  slot.tokens.clear();
  slot.floats.clear();
  slot.sampling = open.sampling;
  adopt(slot.sampling.stop_ids, plan.tokens, slot.tokens);
  adopt(slot.sampling.bias_ids, plan.tokens, slot.tokens);
  adopt(slot.sampling.allowed_ids, plan.tokens, slot.tokens);
  adopt(slot.sampling.banned, plan.tokens, slot.tokens);
  adopt(slot.sampling.bias, plan.floats, slot.floats);
  for (auto& table : slot.tables) table.clear();
}

void SlotTable::grow(const StepPlan& plan, const Grow& grow) {
  Slot& slot = at(grow.slot);
  CHECK(slot.open);
  CHECK(grow.group >= 0 && static_cast<size_t>(grow.group) < slot.tables.size());
  CHECK(grow.at >= 0);
  const int32_t block_count = limits_.groups[static_cast<size_t>(grow.group)].block_count;
  auto& table = slot.tables[static_cast<size_t>(grow.group)];
  const auto end = static_cast<size_t>(grow.at) + static_cast<size_t>(grow.blocks.count);
  if (table.size() < end) table.resize(end, -1);
  auto into = table.begin() + grow.at;
  for (const int32_t block : slice(plan.ints, grow.blocks)) {
    CHECK(block >= -1 && block < block_count);
    *into++ = block;
  }
}

int32_t begin_of(const Slot& slot, const Work& work) {
  return work.begin == kAtLength ? slot.length : work.begin;
}

}  // namespace bessemer
