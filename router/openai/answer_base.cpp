#include "router/openai/answer_base.h"

#include <utility>

#include "common/check.h"
#include "router/openai/json_text.h"

namespace bessemer {

AnswerBase::AnswerBase(const ValidRequest& request, AnswerHead head, std::string_view chunk_object)
    : form_(form_of(request)), head_(std::move(head)), chunks_(head_, chunk_object, form_) {
  if (!form_.stream) choices_.resize(static_cast<size_t>(head_.choices));
}

std::string AnswerBase::begin() {
  std::string frames;
  if (!form_.stream) return frames;
  for (int32_t choice = 0; choice < head_.choices; ++choice) frames += first_frame(choice);
  return frames;
}

std::string AnswerBase::text(const ChoiceText& delta) {
  CHECK(delta.choice >= 0 && delta.choice < head_.choices);
  if (!form_.stream) {
    append_delta(choices_[static_cast<size_t>(delta.choice)].fragments, delta);
    return "";
  }
  scratch_.clear();
  append_delta(scratch_, delta);
  chunks_.count(delta.token_count);
  if (!scratch_.moved()) return "";
  std::string frame = chunks_.open(delta.choice);
  append_piece(frame, scratch_, !delta.tokens.empty());
  frame += R"("finish_reason":null)";
  if (form_.with_ids) append_token_ids(frame, scratch_);
  chunks_.close(frame);
  return frame;
}

std::string AnswerBase::finish(const ChoiceFinish& finish) {
  CHECK(finish.choice >= 0 && finish.choice < head_.choices);
  if (!form_.stream) {
    choices_[static_cast<size_t>(finish.choice)].finish = finish;
    return "";
  }
  std::string frame = chunks_.open(finish.choice);
  frame += no_piece();
  append_finish(frame, finish);
  chunks_.close(frame);
  return frame;
}

void AnswerBase::append_delta(Fragments& out, const ChoiceText& delta) const {
  append_json_escaped(out.text, delta.text);
  for (const TokenReport& report : delta.tokens) append_report(out, report);
  append_ids(out.ids, delta.ids);
}

void AnswerBase::append_token_ids(std::string& out, const Fragments& fragments) {
  out += R"(,"token_ids":[)";
  out += fragments.ids;
  out += ']';
}

void AnswerBase::append_prompt_ids(std::string& out, size_t prompt) const {
  out += R"(,"prompt_token_ids":[)";
  if (prompt < head_.prompt_ids.size()) append_ids(out, head_.prompt_ids[prompt]);
  out += ']';
}

}  // namespace bessemer
