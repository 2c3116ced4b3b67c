// {tokens} -> vLLM's {"prompt"} and llama.cpp's {"content"}: the requests look alike, so the answer
// has both keys.
#include <fmt/format.h>

#include "common/json.h"
#include "router/endpoints/small_request.h"
#include "router/endpoints/table.h"

namespace bessemer {
namespace {

std::variant<std::string, ApiError> detokenize(SmallRequest& request, const ModelView& model) {
  request.fields.require("tokens");
  const auto ids = request.fields.ids("tokens", kMaxTextBytes);
  request.fields.finish();
  if (request.problem) return *request.problem;
  const Tokenizer& tokenizer = *model.text->tokenizer;
  for (const int32_t id : ids) {
    if (id >= 0 && id < tokenizer.vocab_size()) continue;
    return bad_request(fmt::format("Token id {} is not in the model's vocabulary of {} tokens.", id,
                                   tokenizer.vocab_size()),
                       "tokens");
  }
  const std::string text = tokenizer.decode(ids, false);
  return json::serialize(json::object{{"prompt", text}, {"content", text}});
}

}  // namespace

void handle_detokenize(EndpointCall call) {
  run_small_request(std::move(call), detokenize);
}

}  // namespace bessemer
