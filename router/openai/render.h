// Events of one request -> the JSON that the client gets. The streamed and the whole answer are
// built from the same events by the same object, so they cannot differ.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/openai/error.h"
#include "router/openai/valid_request.h"

namespace bessemer {

// One token with its text; `bytes` may be half a character.
struct TokenText {
  int32_t id = 0;
  std::string bytes;
  float logprob = 0;
  int32_t rank = 0;  // 1: the most likely one; 0: not known. Only prompt_logprobs shows it
};
// A generated (or echoed prompt) token with what was asked about it.
struct TokenReport {
  TokenText chosen;
  std::optional<float> logprob;  // nullopt: the first token of an echoed prompt
  std::vector<TokenText> top;    // the most likely ones, best first; `chosen` may be among them
  int32_t text_offset = 0;       // characters before it, for /v1/completions
};
enum class FinishReason : uint8_t { stop, length, content_filter };
struct ChoiceText {
  int32_t choice = 0;
  std::string text;  // whole characters; may be empty when only ids or logprobs moved
  std::vector<TokenReport> tokens;  // empty unless logprobs were asked for
  std::vector<int32_t> ids;         // empty unless return_token_ids
  int32_t token_count =
      0;  // generated tokens that this event accounts for, for continuous_usage_stats
};
struct ChoiceFinish {
  int32_t choice = 0;
  FinishReason reason = FinishReason::stop;
  std::optional<std::string> stop_string = std::nullopt;  // vLLM's stop_reason
  std::optional<int32_t> stop_id = std::nullopt;
};
struct UsageReport {
  int64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};

// Fixed for one answer.
struct AnswerHead {
  std::string id;                                // "chatcmpl-..." or "cmpl-..."
  int64_t created = 0;                           // Unix seconds
  std::string model;                             // as the client named it
  int32_t choices = 1;                           // prompts x n; choice = prompt x n + j
  std::vector<std::vector<int32_t>> prompt_ids;  // one per prompt; empty unless return_token_ids
  int64_t prompt_tokens = 0;                     // of all prompts, for continuous_usage_stats
  std::string system_fingerprint;                // names weights and numerics; empty: null
};

// Feeds on events in order; each call returns the SSE frames ("data: ...\n\n") they give when
// streaming, and "" when not. For each choice: any number of text(), then one finish(). Belongs to
// one thread.
class Answer {
 public:
  virtual ~Answer() = default;
  // First chunks, where the API has them or there are several choices, whose indices must first
  // appear in order.
  virtual std::string begin() = 0;
  virtual std::string text(const ChoiceText& delta) = 0;
  virtual std::string finish(const ChoiceFinish& finish) = 0;
  // Only with request.prompt_logprobs >= 0, which never streams: the tokens of one prompt, once,
  // before end().
  virtual void prompt_logprobs(int32_t prompt, const std::vector<TokenReport>& tokens) = 0;
  // All choices have finished. Streaming: the last frames with [DONE]. Otherwise: the whole JSON
  // body.
  virtual std::string end(const UsageReport& usage) = 0;
};
// `request.kind`, n, and what it asks to be sent along choose the form; its prompts and messages
// may be gone already.
std::unique_ptr<Answer> make_answer(const ValidRequest& request, AnswerHead head);

// Terminal frames of a stream that failed: the error, then [DONE].
std::string render_stream_error(const ApiError& error);

}  // namespace bessemer
