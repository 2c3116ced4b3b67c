// E5: whatever else runs, however it is cut, preempted or batched, a request's tokens,
// log-probabilities and prompt scores are those of an undisturbed run; a choice that ends by itself
// has all of them.
#pragma once
#include <map>
#include <vector>

#include "tests/engine/checkers/checker.h"
#include "tests/engine/fake_model.h"

namespace bessemer {

inline bool operator==(const Logprob& a, const Logprob& b) {
  return a.token == b.token && a.value == b.value && a.rank == b.rank;
}

class SameTokens final : public Checker {
 public:
  SameTokens(Complain complain, int32_t vocab, int32_t max_len)
      : Checker(std::move(complain)), vocab_(vocab), max_len_(max_len) {}

  void on_submit(const Request& request) override { requests_[request.id].request = request; }
  void on_event(const EngineEvent& event) override {
    Seen& seen = requests_[event.attempt];
    if (const auto* tokens = std::get_if<Tokens>(&event.what)) see(seen, *tokens);
    if (const auto* scores = std::get_if<PromptScores>(&event.what)) see(seen, *scores);
    if (const auto* end = std::get_if<ChoiceEnd>(&event.what)) see(seen, *end);
    if (const auto* done = std::get_if<Done>(&event.what)) see(seen, *done);
    const bool over = std::holds_alternative<Done>(event.what) ||
                      std::holds_alternative<Failed>(event.what) ||
                      std::holds_alternative<Rejected>(event.what);
    if (over) requests_.erase(event.attempt);
  }

 private:
  struct Seen {
    Request request;
    std::map<int32_t, fake::Answer> answers;
    std::vector<Logprob> scores;
    bool any_token = false;
  };
  const fake::Answer& answer(Seen& seen, int32_t choice) {
    const auto found = seen.answers.find(choice);
    if (found != seen.answers.end()) return found->second;
    return seen.answers[choice] = fake::answer(seen.request, choice, vocab_, max_len_);
  }

  void see(Seen& seen, const Tokens& tokens) {
    const fake::Answer& expected = answer(seen, tokens.choice);
    const size_t at = static_cast<size_t>(tokens.offset), count = tokens.ids.size();
    const bool inside = at + count <= expected.ids.size();
    expect(inside && std::equal(tokens.ids.begin(), tokens.ids.end(),
                                expected.ids.begin() + tokens.offset),
           "E5: other tokens than undisturbed");
    const size_t per_token =
        seen.request.top_logprobs < 0 ? 0 : 1 + static_cast<size_t>(seen.request.top_logprobs);
    expect(tokens.logprobs.size() == count * per_token, "logprobs are missing");
    expect(!inside || std::ranges::equal(
                          tokens.logprobs,
                          std::span(expected.logprobs).subspan(at * per_token, count * per_token)),
           "E5: other logprobs than undisturbed");
    seen.any_token = true;
  }
  void see(Seen& seen, const PromptScores& scores) {
    const size_t per_token = 1 + static_cast<size_t>(seen.request.prompt_logprobs);
    expect(static_cast<size_t>(scores.per_token) == per_token, "scores of another width");
    expect((static_cast<size_t>(scores.first) - 1) * per_token == seen.scores.size(),
           "prompt scores with a gap or a repeat");
    append(seen.scores, scores.logprobs);
  }
  void see(Seen& seen, const ChoiceEnd& end) {
    if (end.reason == EndReason::cancelled) return;
    const fake::Answer& expected = answer(seen, end.choice);
    expect(end.reason == expected.reason && end.stop_id == expected.stop_id &&
               end.end_offset == static_cast<int32_t>(expected.ids.size()),
           "E5: another end than undisturbed");
  }
  void see(Seen& seen, const Done& done) {
    expect(done.usage.prompt == static_cast<int32_t>(seen.request.prompt.size()), "wrong usage");
    if (seen.request.prompt_logprobs < 0) return expect(seen.scores.empty(), "scores unasked");
    if (!seen.any_token) return;  // cancelled before the prompt was done
    expect(seen.scores == fake::prompt_scores(seen.request), "E5: other prompt scores");
  }

  const int32_t vocab_, max_len_;
  std::map<AttemptId, Seen> requests_;
};

}  // namespace bessemer
