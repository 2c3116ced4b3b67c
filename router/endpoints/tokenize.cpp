// Two shapes, told apart by their keys and answered in kind:
//   vLLM's       {model?, prompt | messages, ...}  ->  {count, max_model_len, tokens, token_strs}
//   llama.cpp's  {content, add_special?, parse_special?, with_pieces?}  ->  {tokens}
#include "common/json.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/small_request.h"
#include "router/endpoints/table.h"
#include "router/openai/json_text.h"
#include "router/openai/parse.h"

namespace bessemer {
namespace {

json::array as_json(const std::vector<int32_t>& ids) {
  return json::array(ids.begin(), ids.end());
}

// A token's text where it is whole characters, else its bytes.
json::value piece_json(const Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.piece(id, true);
  if (is_valid_utf8(bytes)) return json::value(bytes);
  json::array numbers;
  for (const char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
  return numbers;
}

std::variant<std::string, ApiError> tokenize_content(SmallRequest& request,
                                                     const ModelView& model) {
  const std::string content = request.fields.string("content", kMaxTextBytes).value_or("");
  const bool with_pieces = request.fields.boolean("with_pieces").value_or(false);
  EncodeOptions options;
  options.add_special = request.fields.boolean("add_special").value_or(false);
  options.parse_special = request.fields.boolean("parse_special").value_or(true);
  request.fields.finish();
  if (request.problem) return *request.problem;
  const Tokenizer& tokenizer = *model.text->tokenizer;
  const auto ids = tokenizer.encode(content, options);
  if (!with_pieces) return json::serialize(json::object{{"tokens", as_json(ids)}});
  json::array tokens;
  for (const int32_t id : ids)
    tokens.push_back(json::object{{"id", id}, {"piece", piece_json(tokenizer, id)}});
  return json::serialize(json::object{{"tokens", std::move(tokens)}});
}

// The messages as text, checked like those of a chat completion.
std::variant<std::string, ApiError> chat_text(SmallRequest& request, const ModelView& model) {
  json::object chat{{"model", model.card->name()}};
  for (const char* key : {"messages", "add_generation_prompt", "continue_final_message",
                          "chat_template_kwargs", "tools"}) {
    if (const json::value* value = request.fields.find(key)) chat[key] = *value;
  }
  auto parsed = parse_chat_completion(json::serialize(chat));
  if (auto* error = std::get_if<ApiError>(&parsed)) return std::move(*error);
  return render_chat(std::get<ValidRequest>(parsed), *model.text);
}

std::variant<std::string, ApiError> tokenize_prompt(SmallRequest& request, const ModelView& model) {
  const bool chat = request.fields.has("messages");
  std::string text;
  if (chat) {
    auto rendered = chat_text(request, model);
    if (auto* error = std::get_if<ApiError>(&rendered)) return std::move(*error);
    text = std::move(std::get<std::string>(rendered));
  } else {
    request.fields.require("prompt");
    text = request.fields.string("prompt", kMaxTextBytes).value_or("");
  }
  const bool add_special = request.fields.boolean("add_special_tokens").value_or(!chat);
  const bool with_strings = request.fields.boolean("return_token_strs").value_or(false);
  request.fields.finish();
  if (request.problem) return *request.problem;
  const Tokenizer& tokenizer = *model.text->tokenizer;
  const auto ids = tokenizer.encode(text, {.add_special = add_special, .parse_special = true});
  json::object answer{{"count", ids.size()},
                      {"max_model_len", model.card->max_model_len()},
                      {"tokens", as_json(ids)}};
  answer["token_strs"] = nullptr;
  if (with_strings) {
    json::array strings;
    for (const int32_t id : ids) strings.push_back(piece_json(tokenizer, id));
    answer["token_strs"] = std::move(strings);
  }
  return json::serialize(answer);
}

}  // namespace

void handle_tokenize(EndpointCall call) {
  run_small_request(std::move(call), [](SmallRequest& request, const ModelView& model) {
    return request.fields.has("content") ? tokenize_content(request, model)
                                         : tokenize_prompt(request, model);
  });
}

}  // namespace bessemer
