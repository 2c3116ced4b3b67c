// Answers of /v1/completions.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "router/openai/answer_base.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

// The lists in which logprobs come, as they stand in Fragments::logprobs.
enum LogprobList : size_t { kTokens, kTokenLogprobs, kTopLogprobs, kTextOffset };

// The name of a token in lists and as a key. Two halves of characters must not get the same name,
// so they are spelt by their bytes, as OpenAI's legacy endpoint does: "bytes:\xe2\x80".
std::string token_name(const std::string& bytes) {
  if (is_valid_utf8(bytes)) return bytes;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string name = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    name += "\\x";
    name += kHex[byte >> 4];
    name += kHex[byte & 15];
  }
  return name;
}

// {"name": logprob, ...} of the most likely tokens and the chosen one. Tokens of equal spelling
// share a key; the likelier stays.
void append_alternatives(std::string& out, const TokenReport& report) {
  std::vector<std::string> names;
  out += '{';
  const auto append = [&](const TokenText& token, float logprob) {
    std::string name = token_name(token.bytes);
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    append_separator(out);
    append_json_string(out, name);
    out += ':';
    append_json_logprob(out, logprob);
    names.push_back(std::move(name));
  };
  for (const TokenText& token : report.top) append(token, token.logprob);
  append(report.chosen, *report.logprob);
  out += '}';
}

class CompletionAnswer final : public AnswerBase {
 public:
  CompletionAnswer(const ValidRequest& request, AnswerHead head)
      : AnswerBase(request, std::move(head), "text_completion") {
    if (!form_.stream) prompt_logprobs_.resize(static_cast<size_t>(head_.choices / form_.n));
  }

  void prompt_logprobs(int32_t prompt, const std::vector<TokenReport>& tokens) override {
    CHECK(prompt >= 0 && static_cast<size_t>(prompt) < prompt_logprobs_.size());
    prompt_logprobs_[static_cast<size_t>(prompt)] = render_prompt_logprobs(tokens);
  }

  std::string end(const UsageReport& usage) override {
    if (form_.stream) return chunks_.end(usage);
    std::string body = envelope(head_, "text_completion");
    body += R"("choices":[)";
    for (int32_t choice = 0; choice < head_.choices; ++choice) append_choice(body, choice);
    body += R"(],"usage":)";
    append_usage(body, usage);
    body += '}';
    return body;
  }

 private:
  // The API has no first chunk. One is sent all the same where the ids of the prompts are wanted,
  // and where there are several choices: their indices must first appear in order, whichever has
  // the first text.
  std::string first_frame(int32_t choice) const override {
    if (head_.choices == 1 && !form_.with_ids) return "";
    std::string frame = chunks_.open(choice);
    frame += no_piece();
    frame += R"("finish_reason":null)";
    if (form_.with_ids) append_prompt_ids(frame, prompt_of(choice));
    chunks_.close(frame);
    return frame;
  }

  void append_report(Fragments& out, const TokenReport& report) const override {
    for (std::string& list : out.logprobs) append_separator(list);
    append_json_string(out.logprobs[kTokens], token_name(report.chosen.bytes));
    append_json_integer(out.logprobs[kTextOffset], report.text_offset);
    if (!report.logprob) {  // nothing came before the first token of an echoed prompt
      out.logprobs[kTokenLogprobs] += "null";
      out.logprobs[kTopLogprobs] += "null";
      return;
    }
    append_json_logprob(out.logprobs[kTokenLogprobs], *report.logprob);
    append_alternatives(out.logprobs[kTopLogprobs], report);
  }

  void append_piece(std::string& out, const Fragments& piece, bool with_logprobs) const override {
    out += R"("text":")";
    out += piece.text;
    out += R"(","logprobs":)";
    if (!with_logprobs) {
      out += "null,";
      return;
    }
    const auto list = [&](std::string_view name, LogprobList which) {
      out += name;
      out += piece.logprobs[which];
      out += ']';
    };
    list(R"({"tokens":[)", kTokens);
    list(R"(,"token_logprobs":[)", kTokenLogprobs);
    list(R"(,"top_logprobs":[)", kTopLogprobs);
    list(R"(,"text_offset":[)", kTextOffset);
    out += "},";
  }

  std::string_view no_piece() const override { return R"("text":"","logprobs":null,)"; }

  size_t prompt_of(int32_t choice) const { return static_cast<size_t>(choice / form_.n); }

  void append_choice(std::string& out, int32_t index) const {
    const Choice& choice = choices_[static_cast<size_t>(index)];
    append_separator(out);
    out += R"({"index":)";
    append_json_integer(out, index);
    out += ',';
    append_piece(out, choice.fragments, form_.with_logprobs);
    append_finish(out, choice.finish);
    const std::string& prompt_logprobs = prompt_logprobs_[prompt_of(index)];
    if (!prompt_logprobs.empty()) out += R"(,"prompt_logprobs":)" + prompt_logprobs;
    if (form_.with_ids) {
      append_token_ids(out, choice.fragments);
      append_prompt_ids(out, prompt_of(index));
    }
    out += '}';
  }

  std::vector<std::string> prompt_logprobs_;  // whole: one per prompt, "" until it is known
};

}  // namespace

std::unique_ptr<Answer> make_completion_answer(const ValidRequest& request, AnswerHead head) {
  return std::make_unique<CompletionAnswer>(request, std::move(head));
}

}  // namespace bessemer
