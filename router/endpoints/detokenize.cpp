// {tokens} -> vLLM's {"prompt"} and llama.cpp's {"content"}: the requests look alike, so the answer
// has both keys.
#include <fmt/format.h>

#include "router/endpoints/small_request.h"
#include "router/endpoints/table.h"
#include "router/endpoints/tokenized.h"
#include "router/openai/json_text.h"
#include "router/text/detokenizer.h"

namespace bessemer {
namespace {

// The text as the inside of a JSON string, piece by piece, so that it ends at the limit however
// long the pieces are. Half characters become U+FFFD: JSON has no other bytes than UTF-8's.
std::variant<std::string, ApiError> escaped_text(std::span<const int32_t> ids,
                                                 const Tokenizer& tokenizer) {
  constexpr size_t kTwice = 2;  // in the answer
  Detokenizer detokenizer(tokenizer, false, true);
  std::string text;
  for (const int32_t id : ids) {
    append_json_escaped(text, detokenizer.push(id));
    if (kTwice * text.size() > kMaxSmallAnswerBytes) return answer_too_long("tokens");
  }
  append_json_escaped(text, detokenizer.flush());
  return text;
}

std::variant<std::string, ApiError> detokenize(SmallRequest& request, const ModelView& model) {
  const auto read = listed_tokens(request, model);
  if (const auto* error = std::get_if<ApiError>(&read)) return *error;
  const auto text = escaped_text(std::get<0>(read), *model.text->tokenizer);
  if (const auto* error = std::get_if<ApiError>(&text)) return *error;
  const std::string& escaped = std::get<std::string>(text);
  return fmt::format(R"({{"prompt":"{}","content":"{}"}})", escaped, escaped);
}

}  // namespace

std::variant<std::vector<int32_t>, ApiError> listed_tokens(SmallRequest& request,
                                                           const ModelView& model) {
  request.fields.require("tokens");
  auto ids = request.fields.ids("tokens", kMaxListedTokens);
  request.fields.finish();
  if (request.problem) return *request.problem;
  const int32_t vocabulary = model.text->tokenizer->vocab_size();
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocabulary) continue;
    return bad_request(
        fmt::format("Token id {} is not in the model's vocabulary of {} tokens.", id, vocabulary),
        "tokens");
  }
  return ids;
}

void handle_detokenize(EndpointCall call) {
  run_small_request(std::move(call), read_json_body, detokenize);
}

}  // namespace bessemer
