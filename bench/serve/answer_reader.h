// From the bytes of one answer, with the time at which each piece came, to its Outcome. Knows no
// socket and no clock.
#pragma once
#include <string>
#include <string_view>

#include "bench/serve/outcome.h"
#include "common/json.h"
#include "common/sse.h"

namespace bessemer::bench {

// Texts of one answer: more than any model's context. A server that never ends is cut off here.
constexpr size_t kMaxTexts = 1u << 20;
// Kept of an answer that is sent back in the next turn, or that is not a 200.
constexpr size_t kMaxAnswerBytes = 8u << 20;

class AnswerReader {
 public:
  // `keep_text`: the whole answer is wanted, for the next turn.
  AnswerReader(Outcome& outcome, bool keep_text) : outcome_(outcome), keep_text_(keep_text) {}

  // A piece of the body of an answer with this HTTP status. False: nothing more needs to be read,
  // the failure has been noted.
  bool take(int status, std::string_view piece, TimePoint now);
  // The body has ended as its framing says.
  void finish(TimePoint now);

  // The answer; or, of another status than 200, what came instead.
  const std::string& text() const { return text_; }

 private:
  void take_event(std::string_view data);
  void take_chunk(const json::object& chunk);
  void take_usage(const json::object& usage);
  void take_text(std::string_view text);
  void fail(Failure failure, std::string message);

  Outcome& outcome_;
  const bool keep_text_;
  SseParser events_;
  std::string text_;
  TimePoint now_{};
  TimePoint last_text_{};
  bool done_ = false;  // [DONE] came
  size_t texts_ = 0;
};

}  // namespace bessemer::bench
