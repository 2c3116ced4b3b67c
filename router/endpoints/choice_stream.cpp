#include "router/endpoints/choice_stream.h"

#include <algorithm>

namespace bessemer {

ChoiceStream::ChoiceStream(const PreparedRequest& prepared, size_t prompt, int32_t choice)
    : prepared_(prepared),
      text_(*prepared.model->text),
      deliver_(prepared.prompts[prompt].max_tokens > 0),
      detokenizer_(*text_.tokenizer, prepared.request.skip_special_tokens, false) {
  const ValidRequest& request = prepared.request;
  if (!request.stop.empty()) stops_.emplace(request.stop, request.include_stop_str_in_output);
  delta_.choice = choice;
  if (!request.echo) return;
  delta_.text = prepared.prompts[prompt].text;
  characters_ = characters(delta_.text);
  has_news_ = !delta_.text.empty();
}

void ChoiceStream::echo(const std::vector<TokenReport>& scores) {
  delta_.tokens.insert(delta_.tokens.begin(), scores.begin(), scores.end());
  has_news_ = has_news_ || !scores.empty();
}

void ChoiceStream::push(std::span<const uint32_t> ids,
                        std::span<const v1::Logprobs* const> logprobs) {
  size_t next = 0;
  for (size_t i = 0; i < ids.size() && !finished() && deliver_; i++) {
    const v1::Logprobs* here = nullptr;
    if (next < logprobs.size() && logprobs[next]->index() == i) here = logprobs[next++];
    push_token(static_cast<int32_t>(ids[i]), here);
  }
}

void ChoiceStream::push_token(int32_t id, const v1::Logprobs* logprobs) {
  const ValidRequest& request = prepared_.request;
  generated_++;
  delta_.token_count++;
  has_news_ = true;
  if (request.return_token_ids) delta_.ids.push_back(id);
  if (request.top_logprobs >= 0 && logprobs != nullptr && logprobs->ids_size() > 0) {
    delta_.tokens.push_back(
        make_report(*logprobs, *text_.tokenizer, request.top_logprobs, characters_));
  }
  push_text(detokenizer_.push(id));
}

void ChoiceStream::push_text(std::string text) {
  characters_ += characters(text);
  // Text of the tokens that there must be ends nothing, nor does it begin what would.
  const bool may_stop = generated_ > prepared_.request.sampling.min_tokens;
  if (stops_ && may_stop && !text.empty()) {
    auto result = stops_->push(text);
    text = std::move(result.text);
    if (result.matched >= 0) {
      finish_.emplace();
      finish_->choice = delta_.choice;
      finish_->stop_string = prepared_.request.stop[static_cast<size_t>(result.matched)];
    }
  }
  delta_.text += text;
}

void ChoiceStream::end(const v1::ChoiceEnd& end) {
  if (finished()) return;
  const bool stopped = end.reason() == v1::END_STOP && deliver_;
  const auto stop_id = static_cast<int32_t>(end.stop_id());
  // The id that ended the choice does not come as a token.
  if (stopped && end.has_stop_id() && prepared_.request.include_stop_str_in_output) {
    push_text(detokenizer_.push(stop_id));
  }
  if (!finished()) push_text(detokenizer_.flush());
  if (finished()) return;  // a stop string in the last characters
  complete(stopped ? FinishReason::stop
                   : (end.reason() == v1::END_FILTER ? FinishReason::content_filter
                                                     : FinishReason::length));
  const auto& asked = prepared_.request.sampling.stop_token_ids;
  if (stopped && end.has_stop_id() &&
      std::find(asked.begin(), asked.end(), stop_id) != asked.end()) {
    finish_->stop_id = stop_id;
  }
}

void ChoiceStream::complete(FinishReason reason) {
  if (stops_) delta_.text += stops_->flush();
  has_news_ = has_news_ || !delta_.text.empty();
  finish_.emplace();
  finish_->choice = delta_.choice;
  finish_->reason = reason;
}

std::optional<ChoiceText> ChoiceStream::take() {
  const bool worth_it = !delta_.text.empty() || !delta_.tokens.empty() || !delta_.ids.empty();
  if (!has_news_ || !worth_it) return std::nullopt;
  has_news_ = false;
  ChoiceText taken = std::move(delta_);
  delta_ = ChoiceText();
  delta_.choice = taken.choice;
  return taken;
}

}  // namespace bessemer
