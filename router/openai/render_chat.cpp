// Answers of /v1/chat/completions.
#include <utility>

#include "common/check.h"
#include "router/openai/answer_parts.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

// JSON that events have turned into: a stream sends and empties it, a whole answer adds to it until
// the end.
struct Fragments {
  std::string text;      // escaped
  std::string logprobs;  // objects with commas between them
  std::string ids;       // numbers with commas between them
  bool moved() const { return !text.empty() || !logprobs.empty() || !ids.empty(); }
  void clear() {
    text.clear();
    logprobs.clear();
    ids.clear();
  }
};

// `"token":...,"logprob":...,"bytes":[...]`. A token that is half a character has U+FFFD in its
// text and the truth in its bytes.
void append_token(std::string& out, const TokenText& token, float logprob) {
  out += R"("token":)";
  append_json_string(out, token.bytes);
  out += R"(,"logprob":)";
  append_json_logprob(out, logprob);
  out += R"(,"bytes":)";
  append_json_bytes(out, token.bytes);
}

void append_report(std::string& out, const TokenReport& report) {
  append_separator(out);
  out += '{';
  append_token(out, report.chosen, report.logprob.value_or(report.chosen.logprob));
  out += R"(,"top_logprobs":[)";
  for (const TokenText& token : report.top) {
    append_separator(out);
    out += '{';
    append_token(out, token, token.logprob);
    out += '}';
  }
  out += "]}";
}

void append_delta(Fragments& out, const ChoiceText& delta) {
  append_json_escaped(out.text, delta.text);
  for (const TokenReport& report : delta.tokens) append_report(out.logprobs, report);
  append_ids(out.ids, delta.ids);
}

// `"logprobs":...`: null when none were asked for, or none came with this piece.
void append_logprobs(std::string& out, const Fragments& fragments, bool present) {
  if (!present) {
    out += R"("logprobs":null)";
    return;
  }
  out += R"("logprobs":{"content":[)";
  out += fragments.logprobs;
  out += R"(],"refusal":null})";
}

class ChatAnswer final : public Answer {
 public:
  ChatAnswer(const ValidRequest& request, AnswerHead head)
      : form_(form_of(request)),
        head_(std::move(head)),
        chunks_(head_, "chat.completion.chunk", form_) {
    if (!form_.stream) choices_.resize(static_cast<size_t>(head_.choices));
  }

  std::string begin() override {
    std::string frames;
    if (!form_.stream) return frames;
    for (int32_t choice = 0; choice < head_.choices; ++choice) {
      std::string frame = chunks_.open(choice);
      frame += R"("delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null)";
      chunks_.close(frame, choice == 0 && form_.with_ids ? prompt_ids_field() : "");
      frames += frame;
    }
    return frames;
  }

  std::string text(const ChoiceText& delta) override {
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
    frame += R"("delta":{"content":")";
    frame += scratch_.text;
    frame += R"("},)";
    append_logprobs(frame, scratch_, !delta.tokens.empty());
    frame += R"(,"finish_reason":null)";
    if (form_.with_ids) append_token_ids(frame, scratch_.ids);
    chunks_.close(frame);
    return frame;
  }

  std::string finish(const ChoiceFinish& finish) override {
    CHECK(finish.choice >= 0 && finish.choice < head_.choices);
    if (!form_.stream) {
      choices_[static_cast<size_t>(finish.choice)].finish = finish;
      return "";
    }
    std::string frame = chunks_.open(finish.choice);
    frame += R"("delta":{},"logprobs":null,)";
    append_finish(frame, finish);
    chunks_.close(frame);
    return frame;
  }

  void prompt_logprobs(int32_t prompt, const std::vector<TokenReport>& tokens) override {
    CHECK(prompt == 0 && !form_.stream);
    prompt_logprobs_ = render_prompt_logprobs(tokens);
  }

  std::string end(const UsageReport& usage) override {
    if (form_.stream) return chunks_.end(usage);
    std::string body = envelope(head_, "chat.completion");
    body += R"("choices":[)";
    for (size_t choice = 0; choice < choices_.size(); ++choice) append_choice(body, choice);
    body += R"(],"usage":)";
    append_usage(body, usage);
    if (!prompt_logprobs_.empty()) body += R"(,"prompt_logprobs":)" + prompt_logprobs_;
    if (form_.with_ids) body += prompt_ids_field();
    body += '}';
    return body;
  }

 private:
  struct Choice {
    Fragments fragments;
    ChoiceFinish finish;
  };

  static void append_token_ids(std::string& out, const std::string& ids) {
    out += R"(,"token_ids":[)";
    out += ids;
    out += ']';
  }

  // `,"prompt_token_ids":[...]`: of the answer, not of a choice.
  std::string prompt_ids_field() const {
    std::string out = R"(,"prompt_token_ids":[)";
    if (!head_.prompt_ids.empty()) append_ids(out, head_.prompt_ids.front());
    out += ']';
    return out;
  }

  void append_choice(std::string& out, size_t index) const {
    const Choice& choice = choices_[index];
    append_separator(out);
    out += R"({"index":)";
    append_json_integer(out, static_cast<int64_t>(index));
    out += R"(,"message":{"role":"assistant","content":")";
    out += choice.fragments.text;
    out += R"(","refusal":null},)";
    append_logprobs(out, choice.fragments, form_.with_logprobs);
    out += ',';
    append_finish(out, choice.finish);
    if (form_.with_ids) append_token_ids(out, choice.fragments.ids);
    out += '}';
  }

  AnswerForm form_;
  AnswerHead head_;
  ChunkWriter chunks_;
  Fragments scratch_;            // streaming: one event
  std::vector<Choice> choices_;  // whole: everything so far
  std::string prompt_logprobs_;
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(const ValidRequest& request, AnswerHead head) {
  return std::make_unique<ChatAnswer>(request, std::move(head));
}

}  // namespace bessemer
