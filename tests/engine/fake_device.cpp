#include "tests/engine/fake_device.h"

namespace bessemer::fake {
namespace {

bool draws(Want want) {
  return want == Want::sample || want == Want::score_and_sample;
}
bool scores(Want want) {
  return want == Want::score || want == Want::score_and_sample;
}

}  // namespace

FakeDevice::FakeDevice(Limits limits, Complain complain)
    : limits_(std::move(limits)), complain_(std::move(complain)) {
  slots_.resize(static_cast<size_t>(limits_.slots));
  for (const KvGroup& group : limits_.groups) {
    kv_.emplace_back(static_cast<size_t>(group.block_count),
                     std::vector<RowHash>(static_cast<size_t>(group.block_tokens), kPoison));
  }
}

void FakeDevice::expect(bool holds, const std::string& what) {
  if (!holds) complain_("step " + std::to_string(step_) + ": " + what);
}

FakeDevice::Slot* FakeDevice::slot_of(int32_t index) {
  const bool valid = index >= 0 && index < limits_.slots;
  expect(valid, "P3: slot " + std::to_string(index) + " does not exist");
  return valid ? &slots_[static_cast<size_t>(index)] : nullptr;
}

void FakeDevice::poison(int32_t group, std::span<const int32_t> blocks) {
  for (const int32_t block : blocks) {
    auto& cells = kv_[static_cast<size_t>(group)][static_cast<size_t>(block)];
    std::ranges::fill(cells, kPoison);
  }
}

void FakeDevice::lose() {
  for (Slot& slot : slots_) slot.open = false;
  for (auto& pool : kv_) {
    for (auto& cells : pool) std::ranges::fill(cells, kPoison);
  }
}

void FakeDevice::spoil(size_t work) {
  for (RowHash* cell : written_[work]) *cell = kSpoiled;
}

StepResult FakeDevice::execute(const StepPlan& plan) {
  step_ = plan.id;
  for (const int32_t index : plan.close) {
    Slot* slot = slot_of(index);
    if (slot == nullptr) continue;
    expect(slot->open, "P1: close of a closed slot");
    slot->open = false;
  }
  for (Slot& slot : slots_) slot.worked = false;
  written_.assign(plan.work.size(), {});
  for (const Open& each : plan.open) open(plan, each);
  for (const Grow& each : plan.grow) grow(plan, each);
  for (const Move& move : plan.moves) copy(move);
  StepResult result;
  result.id = plan.id;
  for (const Work& work : plan.work) compute(work, result);
  return result;
}

void FakeDevice::open(const StepPlan& plan, const Open& open) {
  Slot* slot = slot_of(open.slot);
  if (slot == nullptr) return;
  expect(!slot->open, "P1: open of an open slot");
  const auto history = slice(plan.tokens, open.history);
  const auto stops = slice(plan.tokens, open.sampling.stop_ids);
  *slot = {};
  slot->open = true;
  slot->choice = open.choice;
  slot->prompt_len = open.prompt_len;
  slot->history.assign(history.begin(), history.end());
  slot->stop_ids.assign(stops.begin(), stops.end());
  slot->sampling = open.sampling;
  slot->tables.resize(limits_.groups.size());
}

void FakeDevice::grow(const StepPlan& plan, const Grow& grow) {
  Slot* slot = slot_of(grow.slot);
  if (slot == nullptr) return;
  expect(slot->open, "grow of a closed slot");
  auto& table = slot->tables[static_cast<size_t>(grow.group)];
  const size_t at = static_cast<size_t>(grow.at);
  expect(at <= table.size(), "grow leaves a hole");
  if (at > table.size()) return;
  table.resize(std::max(table.size(), at + static_cast<size_t>(grow.blocks.count)));
  auto into = table.begin() + grow.at;
  for (const int32_t block : slice(plan.ints, grow.blocks)) {
    const int32_t count = limits_.groups[static_cast<size_t>(grow.group)].block_count;
    expect(block >= 0 && block < count, "no such block");
    *into++ = block;
  }
}

void FakeDevice::copy(const Move& move) {
  auto& pool = kv_[static_cast<size_t>(move.group)];
  pool[static_cast<size_t>(move.to)] = pool[static_cast<size_t>(move.from)];
}

RowHash* FakeDevice::cell(const Slot& slot, size_t group, int32_t position) {
  const int32_t tokens = limits_.groups[group].block_tokens;
  const size_t at = static_cast<size_t>(position / tokens);
  if (at >= slot.tables[group].size()) {
    expect(false, "P4: no block for position " + std::to_string(position));
    return nullptr;
  }
  const size_t block = static_cast<size_t>(slot.tables[group][at]);
  return &kv_[group][block][static_cast<size_t>(position % tokens)];
}

// Reads rows [0, rows) through the block tables of all groups, each of which must hold this very
// history.
RowHash FakeDevice::read_history(const Slot& slot, int32_t rows) {
  RowHash expected = kBeforeFirst;
  for (int32_t position = 0; position < rows; ++position) {
    expected = next_row(expected, slot.history[static_cast<size_t>(position)]);
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      const RowHash* found = cell(slot, g, position);
      if (found == nullptr) return kPoison;
      if (*found == expected) continue;
      if (*found == kSpoiled) return kSpoiled;
      expect(false, "row " + std::to_string(position) + " of group " + std::to_string(g) +
                        (*found == kPoison ? " is poison: its block was given up or never written"
                                           : " is another sequence's"));
      return kPoison;
    }
  }
  return expected;
}

void FakeDevice::compute(const Work& work, StepResult& result) {
  result.outcomes.emplace_back();
  Slot* slot = slot_of(work.slot);
  if (slot == nullptr) return;
  expect(slot->open, "work on a closed slot");
  expect(!slot->worked, "P2: two Works on one slot");
  slot->worked = true;
  const int32_t begin = work.begin == kAtLength ? slot->length : work.begin;
  const int32_t end = begin + work.count;
  if (work.count < 1 || end > static_cast<int32_t>(slot->history.size())) {
    return expect(false, "rows outside the history");
  }
  const size_t index = result.outcomes.size() - 1;
  RowHash row = read_history(*slot, begin);
  for (int32_t position = begin; position < end; ++position) {
    row = next_row(row, slot->history[static_cast<size_t>(position)]);
    for (size_t g = 0; g < limits_.groups.size(); ++g) {
      RowHash* to = cell(*slot, g, position);
      if (to == nullptr) continue;
      *to = row;
      written_[index].push_back(to);
    }
    if (scores(work.want)) score(*slot, work, position, row, result);
  }
  slot->length = end;
  if (draws(work.want)) sample(*slot, work, row, result);
}

void FakeDevice::score(const Slot& slot, const Work& work, int32_t position, RowHash row,
                       StepResult& result) {
  const size_t successor = static_cast<size_t>(position) + 1;
  if (successor >= slot.history.size()) return;
  Range& range = result.outcomes.back().scores;
  const auto values = logprobs(row, slot.history[successor], work.score_logprobs);
  const Range added = append(result.logprobs, values);
  if (range.count == 0) range.begin = added.begin;
  range.count += added.count;
}

void FakeDevice::sample(Slot& slot, const Work& work, RowHash row, StepResult& result) {
  const int32_t known = static_cast<int32_t>(slot.history.size());
  expect(slot.length == known, "a draw before the end of the history");
  const int32_t token = draw(row,
                             {slot.sampling.seed, slot.choice, known, known - slot.prompt_len,
                              slot.sampling.min_tokens, slot.stop_ids},
                             limits_.vocab_size);
  Outcome& outcome = result.outcomes.back();
  outcome.tokens = append(result.tokens, std::vector<int32_t>{token});
  if (work.top_logprobs >= 0) {
    outcome.logprobs = append(result.logprobs, logprobs(row, token, work.top_logprobs));
  }
  slot.history.push_back(token);
}

}  // namespace bessemer::fake
