// Answers of /v1/chat/completions.
#include <utility>

#include "common/check.h"
#include "router/openai/answer_base.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

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

// `"logprobs":...,`: null when none were asked for, or none came with this piece.
void append_logprobs(std::string& out, const Fragments& fragments, bool present) {
  if (!present) {
    out += R"("logprobs":null,)";
    return;
  }
  out += R"("logprobs":{"content":[)";
  out += fragments.logprobs[0];
  out += R"(],"refusal":null},)";
}

class ChatAnswer final : public AnswerBase {
 public:
  ChatAnswer(const ValidRequest& request, AnswerHead head)
      : AnswerBase(request, std::move(head), "chat.completion.chunk") {}

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
    if (form_.with_ids) append_prompt_ids(body, 0);
    body += '}';
    return body;
  }

 private:
  // The ids of the prompt belong to the answer, not to a choice: they come once.
  std::string first_frame(int32_t choice) const override {
    std::string frame = chunks_.open(choice), prompt_ids;
    frame += R"("delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null)";
    if (choice == 0 && form_.with_ids) append_prompt_ids(prompt_ids, 0);
    chunks_.close(frame, prompt_ids);
    return frame;
  }

  void append_report(Fragments& fragments, const TokenReport& report) const override {
    std::string& out = fragments.logprobs[0];
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

  void append_piece(std::string& out, const Fragments& piece, bool with_logprobs) const override {
    out += R"("delta":{"content":")";
    out += piece.text;
    out += R"("},)";
    append_logprobs(out, piece, with_logprobs);
  }

  std::string_view no_piece() const override { return R"("delta":{},"logprobs":null,)"; }

  void append_choice(std::string& out, size_t index) const {
    const Choice& choice = choices_[index];
    append_separator(out);
    out += R"({"index":)";
    append_json_integer(out, static_cast<int64_t>(index));
    out += R"(,"message":{"role":"assistant","content":")";
    out += choice.fragments.text;
    out += R"(","refusal":null},)";
    append_logprobs(out, choice.fragments, form_.with_logprobs);
    append_finish(out, choice.finish);
    if (form_.with_ids) append_token_ids(out, choice.fragments);
    out += '}';
  }

  std::string prompt_logprobs_;
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(const ValidRequest& request, AnswerHead head) {
  return std::make_unique<ChatAnswer>(request, std::move(head));
}

}  // namespace bessemer
