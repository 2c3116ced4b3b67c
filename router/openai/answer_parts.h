// What the answers of the two APIs have in common.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/openai/render.h"

namespace bessemer {

constexpr std::string_view kFrameEnd = "\n\n";
constexpr std::string_view kDone = "data: [DONE]\n\n";
constexpr size_t kFrameReserve =
    384;  // bytes: a chunk of a few words, so that it is one allocation

// The way in which a request wants its answer; the same for all of its chunks.
struct AnswerForm {
  bool stream, include_usage, continuous_usage, with_ids, with_logprobs;
  int32_t n;
};
AnswerForm form_of(const ValidRequest& request);

// `{"id":...,"object":...,"created":...,"model":...,"system_fingerprint":...,` : the beginning of a
// body, and of each chunk.
std::string envelope(const AnswerHead& head, std::string_view object);

// Writes chunks: envelope, choices and usage.
class ChunkWriter {
 public:
  ChunkWriter(const AnswerHead& head, std::string_view object, const AnswerForm& form);
  // The frame's text up to and with `"choices":[{"index":N,`.
  std::string open(int32_t choice) const;
  // Closes what open() began: `}]`, then `extra` (fields of the chunk, each with a comma before
  // it), the usage where it is wanted, the frame's end.
  void close(std::string& frame, std::string_view extra = {}) const;
  // The last frames: usage where it is wanted, [DONE].
  std::string end(const UsageReport& usage) const;
  void count(int32_t tokens) { running_.completion_tokens += tokens; }

 private:
  AnswerForm form_;
  std::string head_;
  UsageReport running_;
};

// A comma unless `out` is empty or opens a list or object.
void append_separator(std::string& out);
void append_usage(std::string& out, const UsageReport& usage);
void append_ids(std::string& out, std::span<const int32_t> ids);
// `"finish_reason":...,"stop_reason":...`
void append_finish(std::string& out, const ChoiceFinish& finish);
// vLLM's list of prompt_logprobs.
std::string render_prompt_logprobs(const std::vector<TokenReport>& tokens);

std::unique_ptr<Answer> make_chat_answer(const ValidRequest& request, AnswerHead head);
std::unique_ptr<Answer> make_completion_answer(const ValidRequest& request, AnswerHead head);

}  // namespace bessemer
