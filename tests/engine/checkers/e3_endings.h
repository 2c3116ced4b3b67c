// E3: the order of one attempt's events; every choice ends once, here or before it was resumed; one terminal event; nothing after
// either.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "tests/engine/checkers/checker.h"

namespace bessemer {

class EndsOnce final : public Checker {
 public:
  using Checker::Checker;
  void on_submit(const Request& request) override {
    std::vector<Choice>& choices = attempts_[request.id].choices;
    choices.resize(static_cast<size_t>(std::max(request.n, 0)));
    for (size_t i = 0; i < request.resumed.size(); ++i) {
      choices[i] = {static_cast<int32_t>(request.resumed[i].ids.size()), request.resumed[i].ended};
    }
  }
  void on_event(const EngineEvent& event) override {
    Attempt& attempt = attempts_[event.attempt];
    expect(!attempt.over, "E3: an event after the terminal one");
    std::visit([&](const auto& what) { see(attempt, what); }, event.what);
  }
  void on_idle(const Scheduler&) override {
    for (const auto& [id, attempt] : attempts_) {
      expect(attempt.over, "E3: attempt " + std::to_string(static_cast<uint64_t>(id)) +
                               " never got a terminal event");
    }
  }

 private:
  struct Choice {
    int32_t tokens = 0;
    bool ended = false;
  };
  struct Attempt {
    bool admitted = false, over = false;
    std::vector<Choice> choices;
  };
  Choice* choice_of(Attempt& attempt, int32_t index) {
    const bool known = index >= 0 && static_cast<size_t>(index) < attempt.choices.size();
    expect(attempt.admitted && known, "E3: an event of an unknown attempt or choice");
    return known ? &attempt.choices[static_cast<size_t>(index)] : nullptr;
  }

  void see(Attempt& attempt, const Admitted&) {
    expect(!attempt.admitted, "E3: admitted twice");
    attempt.admitted = true;
  }
  void see(Attempt& attempt, const Rejected&) {
    expect(!attempt.admitted, "E3: rejected after it was admitted");
    attempt.over = true;
  }
  void see(Attempt& attempt, const Progress&) {
    expect(attempt.admitted, "E3: progress before admission");
  }
  void see(Attempt& attempt, const PromptScores&) {
    expect(attempt.admitted, "E3: scores before admission");
    for (const Choice& choice : attempt.choices) {
      expect(choice.tokens == 0, "E3: prompt scores after a token");
    }
  }
  void see(Attempt& attempt, const Tokens& tokens) {
    Choice* choice = choice_of(attempt, tokens.choice);
    if (choice == nullptr) return;
    expect(!choice->ended, "E3: a token after its choice ended");
    expect(tokens.offset == choice->tokens && !tokens.ids.empty(), "E7: a gap or a repeat");
    choice->tokens += static_cast<int32_t>(tokens.ids.size());
  }
  void see(Attempt& attempt, const ChoiceEnd& end) {
    Choice* choice = choice_of(attempt, end.choice);
    if (choice == nullptr) return;
    expect(!choice->ended, "E3: a choice ended twice");
    expect(end.end_offset == choice->tokens, "E3: end_offset is not what was delivered");
    choice->ended = true;
  }
  void see(Attempt& attempt, const Done& done) {
    expect(attempt.admitted, "E3: done before admission");
    expect(done.usage.generated.size() == attempt.choices.size(), "usage has other choices");
    for (size_t i = 0; i < attempt.choices.size(); ++i) {
      expect(attempt.choices[i].ended, "E3: done while a choice goes on");
      expect(done.usage.generated[i] == attempt.choices[i].tokens,
             "usage is not what was delivered");
    }
    attempt.over = true;
  }
  void see(Attempt& attempt, const Failed&) {
    expect(attempt.admitted, "E3: failed before admission");
    attempt.over = true;
  }

  std::map<AttemptId, Attempt> attempts_;
};

}  // namespace bessemer
