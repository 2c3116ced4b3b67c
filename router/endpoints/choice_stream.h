// One choice on its way back: ids become text, stop strings end it, what may be sent is handed out
// in whole characters.
//
// Invariant: what take() hands out, put together, does not depend on how often or when it is
// called.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/token_report.h"
#include "router/openai/render.h"
#include "router/text/detokenizer.h"
#include "router/text/stop_matcher.h"

namespace bessemer {

class ChoiceStream {
 public:
  // `prepared` outlives it. `choice` = prompt x n + j.
  ChoiceStream(const PreparedRequest& prepared, size_t prompt, int32_t choice);

  // The echoed prompt, in front of everything; `scores` as the worker sent them (empty: no logprobs
  // asked for).
  void echo(const std::vector<TokenReport>& scores);
  // Accepted ids from `first` on, with their logprobs (by index). Ignored once finished.
  void push(std::span<const uint32_t> ids, std::span<const v1::Logprobs* const> logprobs,
            size_t first = 0);
  // The worker's own end of the choice.
  void end(const v1::ChoiceEnd& end);

  bool finished() const { return finish_.has_value(); }
  // Text, tokens or ids that can be sent now, if there are any.
  std::optional<ChoiceText> take();
  // Tokens that wait in there.
  int32_t held_tokens() const { return delta_.token_count; }
  const ChoiceFinish& finish() const { return *finish_; }
  int64_t generated() const { return generated_; }  // tokens accepted, up to a stop match

 private:
  void push_token(int32_t id, const v1::Logprobs* logprobs);
  void push_text(std::string text);
  void complete(FinishReason reason);

  const PreparedRequest& prepared_;
  const ModelText& text_;
  const bool deliver_;  // false: max_tokens 0, only the echo counts
  Detokenizer detokenizer_;
  std::optional<StopMatcher> stops_;
  ChoiceText delta_;
  bool has_news_ = false;
  std::optional<ChoiceFinish> finish_;
  int64_t generated_ = 0;
  int32_t characters_ = 0;  // of all text before the next token, for text_offset
};

}  // namespace bessemer
