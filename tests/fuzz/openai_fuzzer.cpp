// Any body -> both parsers. Whatever they take is within the bounds that valid_request.h promises;
// whatever they refuse is a 400 that renders as JSON; whatever they take also renders an answer.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "common/check.h"
#include "common/json.h"
#include "router/openai/json_text.h"
#include "router/openai/limits.h"
#include "router/openai/parse.h"
#include "router/openai/render.h"

namespace bessemer {
namespace {

bool within(const std::optional<double>& value, double low, double high) {
  return !value || (std::isfinite(*value) && *value >= low && *value <= high);
}

void check_sampling(const SamplingSpec& sampling) {
  CHECK(within(sampling.temperature, 0, 2));
  CHECK(within(sampling.top_p, 0, 1) && sampling.top_p != 0.0);
  CHECK(within(sampling.min_p, 0, 1));
  CHECK(within(sampling.typical_p, 0, 1) && sampling.typical_p != 0.0);
  CHECK(!sampling.top_k || (*sampling.top_k >= 0 && *sampling.top_k <= INT32_MAX));
  CHECK(within(sampling.frequency_penalty, -2, 2) && within(sampling.presence_penalty, -2, 2));
  CHECK(within(sampling.repetition_penalty, 0.01, 100));
  CHECK(sampling.logit_bias.size() <= kMaxLogitBias &&
        sampling.stop_token_ids.size() <= kMaxStopTokenIds);
  for (const auto& [id, bias] : sampling.logit_bias) CHECK(id >= 0 && within(bias, -100, 100));
  for (const int32_t id : sampling.allowed_token_ids) CHECK(id >= 0);
  for (const std::string& word : sampling.bad_words) CHECK(!word.empty());
  CHECK(sampling.min_tokens >= 0);
}

void check_messages(const ValidRequest& request) {
  CHECK(!request.messages.empty());
  for (const json::value& message : request.messages) {
    const json::object& fields = message.as_object();
    CHECK(fields.at("role").is_string() && fields.at("content").is_string());
    CHECK(is_valid_utf8(fields.at("content").get_string()));
  }
}

void check_request(const ValidRequest& request) {
  CHECK(!request.model.empty() && request.model.size() <= kMaxNameBytes);
  CHECK(request.n >= 1 && request.n <= kMaxChoices);
  CHECK(request.top_logprobs >= -1 && request.top_logprobs <= kMaxLogprobs);
  CHECK(request.prompt_logprobs >= -1 && request.prompt_logprobs <= kMaxLogprobs);
  CHECK(!(request.stream && request.prompt_logprobs >= 0));
  CHECK(request.stream || !request.include_usage);
  CHECK(request.include_usage || !request.continuous_usage_stats);
  CHECK(!request.max_tokens || *request.max_tokens > 0 ||
        (*request.max_tokens == 0 && request.echo));
  CHECK(!request.max_tokens || request.sampling.min_tokens <= *request.max_tokens);
  CHECK(request.stop.size() <= kMaxStops);
  for (const std::string& stop : request.stop) CHECK(!stop.empty() && stop.size() <= kMaxStopBytes);
  CHECK(request.prompts.size() * static_cast<size_t>(request.n) <= kMaxPrompts);
  CHECK(!(request.add_generation_prompt && request.continue_final_message));
  if (request.kind == ApiKind::chat) {
    check_messages(request);
  } else {
    CHECK(!request.prompts.empty());
  }
  check_sampling(request.sampling);
}

void check_answer(const ValidRequest& request) {
  AnswerHead head;
  head.model = request.model;
  head.choices = request.n;
  const auto answer = make_answer(request, head);
  std::string out = answer->begin();
  ChoiceText delta;
  delta.text = request.user;
  out += answer->text(delta) + answer->finish({}) + answer->end({});
  CHECK(is_valid_utf8(out));
  if (!request.stream) CHECK(parse_json(out).ok());
}

void try_one(ParseResult result) {
  if (const auto* refused = std::get_if<RefusedRequest>(&result)) {
    const ApiError& error = refused->error;
    CHECK(error.status == 400 && error.type == "invalid_request_error" && !error.message.empty());
    CHECK(parse_json(render_error(error)).ok());
    return;
  }
  check_request(std::get<ValidRequest>(result));
  check_answer(std::get<ValidRequest>(result));
}

}  // namespace
}  // namespace bessemer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  bessemer::try_one(bessemer::parse_chat_completion(body));
  bessemer::try_one(bessemer::parse_completion(body));
  return 0;
}
