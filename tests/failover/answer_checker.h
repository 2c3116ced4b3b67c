// Whether one client got its answer: every token of every choice exactly once, the right end, the
// right counts. Knows no socket and no clock.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/sse.h"
#include "tests/failover/stream_plan.h"

namespace bessemer::failover {

enum class Verdict : uint8_t {
  right,
  lost,       // the answer ended as if whole, and tokens are missing
  repeated,   // tokens that had been delivered came again
  wrong,      // anything else that is not the answer: other tokens, another end, other counts
  refused,    // no answer at all: an HTTP status other than 200
  broken,     // an error in the middle of the stream
  poisoned,   // a refusal or an error that blames the request
  truncated,  // the connection ended without the answer's end
  hung,       // no end in the time that a client waits
};
constexpr size_t kVerdicts = 9;
const char* name_of(Verdict verdict);

struct Checked {
  Verdict verdict = Verdict::right;
  std::string detail;        // of all but right
  double longest_gap_s = 0;  // between texts of a choice, and before the first
};

class AnswerChecker {
 public:
  // `plan` outlives the checker; `now`: when the request was sent.
  AnswerChecker(const StreamPlan& plan, TimePoint now);

  // A piece of the body of an answer with this HTTP status.
  void take(int status, std::string_view piece, TimePoint now);
  // The exchange is over: `whole` as its framing says, or else timed out or cut off.
  enum class End : uint8_t { whole, cut, timed_out };
  Checked finish(End end);

 private:
  struct Choice {
    std::string text, reason;
    TimePoint last{};
  };
  void take_event(std::string_view data, TimePoint now);
  void take_chunk(const json::object& chunk, TimePoint now);
  void take_choice(const json::object& choice, TimePoint now);
  void fail(Verdict verdict, std::string detail);
  void judge_error(const json::object& error, Verdict otherwise);
  void judge_choice(size_t number);
  void judge_usage();

  const StreamPlan& plan_;
  const std::vector<std::string> right_;  // texts
  Checked checked_;
  std::vector<Choice> choices_;
  SseParser events_;
  std::string body_;  // of an answer that is no stream
  int status_ = 0;
  bool done_ = false;
  int64_t prompt_tokens_ = -1, completion_tokens_ = -1;  // by `usage`
};

}  // namespace bessemer::failover
