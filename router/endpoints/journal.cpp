#include "router/endpoints/journal.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace bessemer {
namespace {

constexpr int64_t kBytesPerId = sizeof(uint32_t);
constexpr size_t kFirstTokens = 64;  // room of a choice at first; it doubles

}  // namespace

Journal::Journal(std::shared_ptr<JournalBudget> budget, size_t choices, size_t prompt_tokens)
    : budget_(std::move(budget)), choices_(choices) {
  const auto prompt = static_cast<int64_t>(prompt_tokens) * kBytesPerId;
  kept_ = budget_->take(prompt);
  if (kept_) taken_ = prompt;
}

void Journal::append(size_t index, std::span<const uint32_t> ids) {
  if (ended(index)) return;  // J3
  Choice& choice = choices_[index];
  choice.next += static_cast<uint32_t>(ids.size());
  if (!kept_) return;
  if (!grow(choice, ids.size())) return give_up();
  choice.ids.insert(choice.ids.end(), ids.begin(), ids.end());
}

std::optional<size_t> Journal::known(size_t index, uint32_t offset,
                                     std::span<const uint32_t> ids) const {
  if (ended(index)) return ids.size();
  const Choice& choice = choices_[index];
  if (offset == choice.next) return 0;
  if (offset > choice.next || !kept_) return std::nullopt;
  const size_t both = std::min<size_t>(choice.next - offset, ids.size());
  const bool same = std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(both),
                               choice.ids.begin() + offset);
  return same ? std::optional(both) : std::nullopt;
}

// Pays for room before it is had.
bool Journal::grow(Choice& choice, size_t tokens) {
  const size_t needed = choice.ids.size() + tokens;
  if (needed <= choice.ids.capacity()) return true;
  const size_t room = std::max({needed, 2 * choice.ids.capacity(), kFirstTokens});
  const auto more = static_cast<int64_t>(room - choice.ids.capacity()) * kBytesPerId;
  if (!budget_->take(more)) return false;
  taken_ += more;
  choice.ids.reserve(room);
  return true;
}

void Journal::give_up() {
  kept_ = false;
  budget_->give(std::exchange(taken_, 0));
  for (Choice& choice : choices_) choice.ids = {};
}

bool Journal::empty() const {
  return std::all_of(choices_.begin(), choices_.end(), [](const Choice& one) {
    return one.next == 0 && one.end == v1::END_UNSPECIFIED;
  });
}

bool Journal::complete() const {
  return std::all_of(choices_.begin(), choices_.end(),
                     [](const Choice& one) { return one.end != v1::END_UNSPECIFIED; });
}

int64_t Journal::tokens() const {
  int64_t sum = 0;
  for (const Choice& choice : choices_) sum += choice.next;
  return sum;
}

void Journal::write(v1::Resume& resume) const {
  CHECK(kept_);
  resume.clear_choices();
  for (const Choice& choice : choices_) {
    v1::Delivered& delivered = *resume.add_choices();
    delivered.mutable_ids()->Add(choice.ids.begin(), choice.ids.end());
    delivered.set_end(choice.end);
  }
}

void Journal::clear() {
  for (Choice& choice : choices_) {
    choice.ids.clear();
    choice.next = 0;
    choice.end = v1::END_UNSPECIFIED;
  }
}

}  // namespace bessemer
