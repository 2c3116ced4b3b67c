#include "router/openai/render.h"

#include <utility>

#include "router/openai/answer_parts.h"
#include "router/openai/json_text.h"

namespace bessemer {
namespace {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::content_filter:
      return "content_filter";
  }
  return "stop";
}

void append_prompt_token(std::string& out, const TokenText& token, float logprob) {
  append_separator(out);
  out += '"';
  append_json_integer(out, token.id);
  out += R"(":{"logprob":)";
  append_json_logprob(out, logprob);
  out += R"(,"rank":)";
  if (token.rank > 0) {
    append_json_integer(out, token.rank);
  } else {
    out += "null";
  }
  out += R"(,"decoded_token":)";
  append_json_string(out, token.bytes);
  out += '}';
}

}  // namespace

AnswerForm form_of(const ValidRequest& request) {
  return {.stream = request.stream,
          .include_usage = request.include_usage,
          .continuous_usage = request.continuous_usage_stats,
          .with_ids = request.return_token_ids,
          .with_logprobs = request.top_logprobs >= 0,
          .n = request.n};
}

std::string envelope(const AnswerHead& head, std::string_view object) {
  std::string out = R"({"id":)";
  append_json_string(out, head.id);
  out += R"(,"object":")";
  out += object;
  out += R"(","created":)";
  append_json_integer(out, head.created);
  out += R"(,"model":)";
  append_json_string(out, head.model);
  out += R"(,"system_fingerprint":)";
  if (head.system_fingerprint.empty()) {
    out += "null";
  } else {
    append_json_string(out, head.system_fingerprint);
  }
  out += ',';
  return out;
}

ChunkWriter::ChunkWriter(const AnswerHead& head, std::string_view object, const AnswerForm& form)
    : form_(form), head_("data: " + envelope(head, object)) {
  running_.prompt_tokens = head.prompt_tokens;
}

std::string ChunkWriter::open(int32_t choice) const {
  std::string frame;
  frame.reserve(kFrameReserve);
  frame += head_;
  frame += R"("choices":[{"index":)";
  append_json_integer(frame, choice);
  frame += ',';
  return frame;
}

void ChunkWriter::close(std::string& frame, std::string_view extra) const {
  frame += "}]";
  frame += extra;
  if (form_.continuous_usage) {
    frame += R"(,"usage":)";
    append_usage(frame, running_);
  } else if (form_.include_usage) {
    frame += R"(,"usage":null)";
  }
  frame += '}';
  frame += kFrameEnd;
}

std::string ChunkWriter::end(const UsageReport& usage) const {
  std::string frames;
  if (form_.include_usage) {
    frames += head_;
    frames += R"("choices":[],"usage":)";
    append_usage(frames, usage);
    frames += '}';
    frames += kFrameEnd;
  }
  frames += kDone;
  return frames;
}

void append_separator(std::string& out) {
  if (!out.empty() && out.back() != '[' && out.back() != '{') out += ',';
}

void append_usage(std::string& out, const UsageReport& usage) {
  out += R"({"prompt_tokens":)";
  append_json_integer(out, usage.prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_json_integer(out, usage.completion_tokens);
  out += R"(,"total_tokens":)";
  append_json_integer(out, usage.prompt_tokens + usage.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_json_integer(out, usage.cached_tokens);
  out += "}}";
}

void append_ids(std::string& out, std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    append_separator(out);
    append_json_integer(out, id);
  }
}

void append_finish(std::string& out, const ChoiceFinish& finish) {
  out += R"("finish_reason":")";
  out += name_of(finish.reason);
  out += R"(","stop_reason":)";
  if (finish.stop_string) {
    append_json_string(out, *finish.stop_string);
  } else if (finish.stop_id) {
    append_json_integer(out, *finish.stop_id);
  } else {
    out += "null";
  }
}

std::string render_prompt_logprobs(const std::vector<TokenReport>& tokens) {
  std::string out = "[";
  for (const TokenReport& token : tokens) {
    append_separator(out);
    if (!token.logprob) {
      out += "null";
      continue;
    }
    out += '{';
    append_prompt_token(out, token.chosen, *token.logprob);
    for (const TokenText& other : token.top) {
      if (other.id != token.chosen.id) append_prompt_token(out, other, other.logprob);
    }
    out += '}';
  }
  out += ']';
  return out;
}

std::unique_ptr<Answer> make_answer(const ValidRequest& request, AnswerHead head) {
  return request.kind == ApiKind::chat ? make_chat_answer(request, std::move(head))
                                       : make_completion_answer(request, std::move(head));
}

std::string render_stream_error(const ApiError& error) {
  std::string frames = "data: ";
  frames += render_error(error);
  frames += kFrameEnd;
  frames += kDone;
  return frames;
}

}  // namespace bessemer
