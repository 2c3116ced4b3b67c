// What a request of the API asks for once its JSON has been checked: nothing in here can be out of
// range.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/json.h"

namespace bessemer {

enum class ApiKind : uint8_t { chat, completion };

// Field for field what Generate in engine.proto says; optional: the client did not say.
struct SamplingSpec {
  std::optional<double> temperature, top_p, min_p, typical_p;
  std::optional<int64_t> top_k;
  double frequency_penalty = 0, presence_penalty = 0, repetition_penalty = 1;
  std::optional<uint64_t> seed;
  std::map<int32_t, float> logit_bias;
  std::vector<int32_t> allowed_token_ids;
  std::vector<std::string> bad_words;
  std::vector<int32_t> stop_token_ids;
  int32_t min_tokens = 0;
  bool ignore_eos = false;
};

// One prompt of /v1/completions: text or ids.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct ValidRequest {
  ApiKind kind = ApiKind::chat;
  std::string model;

  // chat
  // Roles system, user, assistant, tool (developer has become system). "content" is a string, ""
  // where only tool_calls were sent; arguments of tool_calls are objects wherever they parsed as
  // one.
  json::array messages;
  bool add_generation_prompt = true, continue_final_message = false;
  json::object chat_template_kwargs;  // reasoning_effort is in here too, when given
  // completion
  std::vector<Prompt> prompts;
  bool echo = false;

  SamplingSpec sampling;
  int32_t n = 1;
  std::optional<int32_t>
      max_tokens;  // nullopt: up to the context; 0 only with echo: nothing is generated
  std::optional<int32_t> truncate_prompt_tokens;  // keep the last so many; -1: as many as fit;
                                                  // nullopt: all or an error
  int32_t top_logprobs = -1;                      // -1: no logprobs; 0: of the chosen token only
  int32_t prompt_logprobs = -1;                   // -1: none
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false, skip_special_tokens = true;
  bool stream = false, include_usage = false, continuous_usage_stats = false;
  bool return_token_ids = false;
  int32_t priority = 0;
  std::string cache_salt, user;
  std::string prompt_cache_key;  // names a conversation: ties between workers go to its last one
  std::map<std::string, std::string> metadata;  // for the log, as `user` is
};

}  // namespace bessemer
