#include "bench/mock_worker/mock_kv.h"

#include <array>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr int32_t kBlock = MockModel::kBlockTokens;

int32_t rows_of(const MockChoice& choice) {
  return static_cast<int32_t>(choice.history.size());
}

}  // namespace

MockKv::MockKv(int32_t blocks, uint64_t hash_domain)
    : space_(std::array{KvGroupSize{kBlock, blocks}}, {.on = true, .hash_domain = hash_domain}) {}

bool MockKv::can_ever_hold(int64_t rows) const {
  return !counts() || rows <= int64_t{space_.total()} * kBlock;
}

bool MockKv::place(MockAttempt& attempt, MockChoice& choice) {
  const int32_t rows = rows_of(choice);
  choice.prefill_left = rows;
  choice.placed = true;
  if (!counts()) {
    if (&choice != attempt.leader()) choice.prefill_left = 0;  // it takes over what that computed
    return true;
  }
  if (choice.kv.groups.empty()) choice.kv = space_.make_table();
  // The last row is always computed: the next token is drawn from it.
  const size_t most = static_cast<size_t>((rows - 1) / kBlock);
  const auto hashes = space_.hashes_of(
      attempt.root, std::span(choice.history).first(most * static_cast<size_t>(kBlock)));
  const PrefixMatch found = space_.find({attempt.root, choice.history, hashes});
  if (space_.room_for(choice.kv, rows + 1, 0, found) != Room::now) {
    return choice.placed = false;
  }
  space_.adopt(choice.kv, found);
  std::vector<CopyOnWrite> copies;
  space_.grow(choice.kv, rows + 1, copies);
  CHECK(copies.empty());  // nothing is shared but full blocks
  choice.prefill_left -= int64_t{found.blocks} * kBlock;
  return true;
}

bool MockKv::grow(MockChoice& choice) {
  if (!counts()) return true;
  const int32_t rows = rows_of(choice) + 1;
  if (space_.room_for(choice.kv, rows) != Room::now) return false;
  std::vector<CopyOnWrite> copies;
  space_.grow(choice.kv, rows, copies);
  return true;
}

void MockKv::enter(const MockAttempt& attempt, MockChoice& choice) {
  if (!counts() || !attempt.stores || choice.prefill_left > 0) return;
  std::vector<Replaced> replaced;
  while ((choice.kv.entered + 1) * kBlock <= rows_of(choice)) {
    const auto first = static_cast<size_t>(choice.kv.entered * kBlock);
    space_.enter(choice.kv, attempt.root, std::span(choice.history).subspan(first, kBlock),
                 replaced);
  }
}

void MockKv::give_up(MockChoice& choice) {
  choice.kv.clear();
  choice.placed = false;
}

}  // namespace bessemer
