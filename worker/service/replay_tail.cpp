#include "worker/service/replay_tail.h"

#include <algorithm>

#include "common/check.h"

namespace bessemer {
namespace {

// Ids of one event: with 20 alternatives each still below the least frame of 4 KiB.
constexpr size_t kReplayPiece = 16;

template <typename T>
void drop_front(std::vector<T>& values, size_t count) {
  values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

ReplayTail::ReplayTail(std::span<const int32_t> first_offsets, bool keeps) : keeps_(keeps) {
  for (const int32_t offset : first_offsets) choices_.emplace_back().next = offset;
}

void ReplayTail::note(const EngineEvent& event) {
  if (const auto* tokens = std::get_if<Tokens>(&event.what)) return note_tokens(*tokens);
  if (const auto* end = std::get_if<ChoiceEnd>(&event.what)) {
    choices_[static_cast<size_t>(end->choice)].end = *end;
  }
  // They come before the first token and are as long as the prompt: kept for nobody.
  if (std::holds_alternative<PromptScores>(event.what)) keeps_ = false;
  if (is_terminal(event)) terminal_ = event;
}

void ReplayTail::note_tokens(const Tokens& tokens) {
  Choice& choice = choices_[static_cast<size_t>(tokens.choice)];
  CHECK(tokens.offset == choice.next);
  choice.next += static_cast<int32_t>(tokens.ids.size());
  if (!keeps_) return;
  append(choice.ids, tokens.ids);
  append(choice.logprobs, tokens.logprobs);
  forget_oldest(choice);
}

size_t ReplayTail::Choice::most_kept() const {
  const size_t bytes = sizeof(int32_t) + per_id() * sizeof(Logprob);
  return std::min(kTailTokens, kTailBytes / bytes);
}

// In heaps, so that each token is moved once on average.
void ReplayTail::forget_oldest(Choice& choice) {
  const size_t most = choice.most_kept();
  if (choice.ids.size() < 2 * most) return;
  const size_t gone = choice.ids.size() - most;
  drop_front(choice.logprobs, gone * choice.per_id());
  drop_front(choice.ids, gone);
}

std::optional<std::vector<EngineEvent>> ReplayTail::since(std::span<const uint32_t> offsets,
                                                          AttemptId attempt) const {
  if (!keeps_ || offsets.size() != choices_.size()) return std::nullopt;
  std::vector<EngineEvent> events;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    if (offsets[i] == kEndHeard) continue;
    const auto next = static_cast<uint32_t>(choice.next);
    if (offsets[i] > next || next - offsets[i] > choice.ids.size()) return std::nullopt;
    replay(static_cast<int32_t>(i), choice, offsets[i], attempt, events);
  }
  if (terminal_) events.push_back(*terminal_);
  return events;
}

void ReplayTail::replay(int32_t index, const Choice& choice, uint32_t from, AttemptId attempt,
                        std::vector<EngineEvent>& events) {
  const size_t per_id = choice.per_id();
  const size_t missed = static_cast<size_t>(choice.next) - from;
  for (size_t at = choice.ids.size() - missed; at < choice.ids.size();) {
    const size_t count = std::min(kReplayPiece, choice.ids.size() - at);
    Tokens tokens;
    tokens.choice = index;
    tokens.offset = choice.next - static_cast<int32_t>(choice.ids.size() - at);
    append(tokens.ids, std::span(choice.ids).subspan(at, count));
    append(tokens.logprobs, std::span(choice.logprobs).subspan(at * per_id, count * per_id));
    events.push_back({attempt, std::move(tokens)});
    at += count;
  }
  if (choice.end) events.push_back({attempt, *choice.end});
}

}  // namespace bessemer
