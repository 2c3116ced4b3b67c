// E11: no token beyond its attempt's credit; and whoever has credit is worked for: there is always a
// step to launch or one to wait for (E6).
#pragma once
#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "tests/engine/checkers/checker.h"

namespace bessemer {

class KeepsToCredit final : public Checker {
 public:
  using Checker::Checker;
  void on_submit(const Request& request) override {
    Attempt& attempt = attempts_[request.id];
    if (request.send_until > 0) attempt.until = request.send_until;
    attempt.choices.resize(static_cast<size_t>(std::max(request.n, 0)));
    for (size_t i = 0; i < request.resumed.size(); ++i) {
      attempt.choices[i] = {static_cast<int32_t>(request.resumed[i].ids.size()),
                            request.resumed[i].ended};
    }
  }
  void on_credit(AttemptId id, int32_t send_until) override {
    const auto found = attempts_.find(id);
    if (found != attempts_.end()) found->second.until = std::max(found->second.until, send_until);
  }
  void on_event(const EngineEvent& event) override {
    Attempt& attempt = attempts_[event.attempt];
    if (const auto* tokens = std::get_if<Tokens>(&event.what)) {
      Choice& choice = attempt.choices.at(static_cast<size_t>(tokens->choice));
      choice.tokens += static_cast<int32_t>(tokens->ids.size());
      expect(choice.tokens <= attempt.until, "E11: a token beyond the credit");
    }
    if (const auto* end = std::get_if<ChoiceEnd>(&event.what)) {
      attempt.choices.at(static_cast<size_t>(end->choice)).ended = true;
    }
    if (is_terminal(event)) attempts_.erase(event.attempt);
  }
  void on_no_plan(const Scheduler& scheduler) override {
    if (scheduler.steps_in_flight() > 0) return;
    for (const auto& [id, attempt] : attempts_) {
      for (const Choice& choice : attempt.choices) {
        expect(choice.ended || choice.tokens >= attempt.until,
               "E6: nothing to launch and nothing to wait for, with requests that have credit");
      }
    }
    expect(!scheduler.stats().work_pending, "work is pending where nobody has credit");
  }

 private:
  struct Choice {
    int32_t tokens = 0;
    bool ended = false;
  };
  struct Attempt {
    int32_t until = std::numeric_limits<int32_t>::max();
    std::vector<Choice> choices;
  };
  std::map<AttemptId, Attempt> attempts_;
};

}  // namespace bessemer
