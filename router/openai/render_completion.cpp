// Answers of /v1/completions.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "router/openai/answer_parts.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

// JSON that events have turned into: a stream sends and empties it, a whole answer adds to it until
// the end.
struct Fragments {
  std::string text;  // escaped
  std::string tokens, token_logprobs, top_logprobs,
      text_offset;  // items of four lists, with commas between them
  std::string ids;
  bool moved() const { return !text.empty() || !tokens.empty() || !ids.empty(); }
  void clear() {
    for (std::string* part : {&text, &tokens, &token_logprobs, &top_logprobs, &text_offset, &ids})
      part->clear();
  }
};

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

void append_report(Fragments& out, const TokenReport& report) {
  for (std::string* list : {&out.tokens, &out.token_logprobs, &out.top_logprobs, &out.text_offset})
    append_separator(*list);
  append_json_string(out.tokens, token_name(report.chosen.bytes));
  append_json_integer(out.text_offset, report.text_offset);
  if (!report.logprob) {  // nothing came before the first token of an echoed prompt
    out.token_logprobs += "null";
    out.top_logprobs += "null";
    return;
  }
  append_json_logprob(out.token_logprobs, *report.logprob);
  append_alternatives(out.top_logprobs, report);
}

void append_delta(Fragments& out, const ChoiceText& delta) {
  append_json_escaped(out.text, delta.text);
  for (const TokenReport& report : delta.tokens) append_report(out, report);
  append_ids(out.ids, delta.ids);
}

// `"text":...,"logprobs":...,`: logprobs are null when none were asked for, or none came with this
// piece.
void append_text(std::string& out, const Fragments& fragments, bool with_logprobs) {
  out += R"("text":")";
  out += fragments.text;
  out += R"(","logprobs":)";
  if (!with_logprobs) {
    out += "null,";
    return;
  }
  const auto list = [&out](std::string_view name, const std::string& items) {
    out += name;
    out += items;
    out += ']';
  };
  list(R"({"tokens":[)", fragments.tokens);
  list(R"(,"token_logprobs":[)", fragments.token_logprobs);
  list(R"(,"top_logprobs":[)", fragments.top_logprobs);
  list(R"(,"text_offset":[)", fragments.text_offset);
  out += "},";
}

class CompletionAnswer final : public Answer {
 public:
  CompletionAnswer(const ValidRequest& request, AnswerHead head)
      : form_(form_of(request)), head_(std::move(head)), chunks_(head_, "text_completion", form_) {
    if (form_.stream) return;
    choices_.resize(static_cast<size_t>(head_.choices));
    prompt_logprobs_.resize(static_cast<size_t>(head_.choices / form_.n));
  }

  // The API has no first chunk; only the ids of the prompts, where they are wanted, come before any
  // text.
  std::string begin() override {
    std::string frames;
    if (!form_.stream || !form_.with_ids) return frames;
    for (int32_t choice = 0; choice < head_.choices; ++choice) {
      std::string frame = chunks_.open(choice);
      append_text(frame, {}, false);
      frame += R"("finish_reason":null)";
      append_prompt_ids(frame, choice);
      chunks_.close(frame);
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
    append_text(frame, scratch_, !delta.tokens.empty());
    frame += R"("finish_reason":null)";
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
    append_text(frame, {}, false);
    append_finish(frame, finish);
    chunks_.close(frame);
    return frame;
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
  struct Choice {
    Fragments fragments;
    ChoiceFinish finish;
  };

  static void append_token_ids(std::string& out, const std::string& ids) {
    out += R"(,"token_ids":[)";
    out += ids;
    out += ']';
  }

  size_t prompt_of(int32_t choice) const { return static_cast<size_t>(choice / form_.n); }

  void append_prompt_ids(std::string& out, int32_t choice) const {
    out += R"(,"prompt_token_ids":[)";
    if (prompt_of(choice) < head_.prompt_ids.size())
      append_ids(out, head_.prompt_ids[prompt_of(choice)]);
    out += ']';
  }

  void append_choice(std::string& out, int32_t index) const {
    const Choice& choice = choices_[static_cast<size_t>(index)];
    append_separator(out);
    out += R"({"index":)";
    append_json_integer(out, index);
    out += ',';
    append_text(out, choice.fragments, form_.with_logprobs);
    append_finish(out, choice.finish);
    const std::string& prompt_logprobs = prompt_logprobs_[prompt_of(index)];
    if (!prompt_logprobs.empty()) out += R"(,"prompt_logprobs":)" + prompt_logprobs;
    if (form_.with_ids) {
      append_token_ids(out, choice.fragments.ids);
      append_prompt_ids(out, index);
    }
    out += '}';
  }

  AnswerForm form_;
  AnswerHead head_;
  ChunkWriter chunks_;
  Fragments scratch_;                         // streaming: one event
  std::vector<Choice> choices_;               // whole: everything so far
  std::vector<std::string> prompt_logprobs_;  // whole: one per prompt, "" until it is known
};

}  // namespace

std::unique_ptr<Answer> make_completion_answer(const ValidRequest& request, AnswerHead head) {
  return std::make_unique<CompletionAnswer>(request, std::move(head));
}

}  // namespace bessemer
