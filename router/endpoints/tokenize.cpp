// Two shapes, told apart by their keys and answered in kind:
//   vLLM's       {model?, prompt | messages, ...}  ->  {count, max_model_len, tokens, token_strs}
//   llama.cpp's  {content, add_special?, parse_special?, with_pieces?}  ->  {tokens}
#include <fmt/format.h>

#include "common/json.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/small_request.h"
#include "router/endpoints/table.h"
#include "router/endpoints/tokenized.h"
#include "router/openai/json_text.h"
#include "router/openai/parse.h"

namespace bessemer {
namespace {

using JsonOrError = std::variant<std::string, ApiError>;

// A list of tokens, each as `append_item(out, id)` writes it. Written by hand: a tree of values
// would be ten times the size of the text.
template <typename AppendItem>
JsonOrError list_json(const std::vector<int32_t>& ids, const char* param, AppendItem append_item) {
  if (ids.size() > kMaxListedTokens) return too_many_tokens(param, ids.size());
  std::string out = "[";
  for (const int32_t id : ids) {
    if (out.size() > 1) out += ',';
    append_item(out, id);
    if (out.size() > kMaxSmallAnswerBytes) return answer_too_long(param);
  }
  out += ']';
  return out;
}

// A token's text where it is whole characters, else its bytes.
void append_piece(std::string& out, const Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.piece(id, true);
  if (is_valid_utf8(bytes)) {
    append_json_string(out, bytes);
  } else {
    append_json_bytes(out, bytes);
  }
}

JsonOrError tokenize_content(SmallRequest& request, const ModelView& model) {
  const std::string content = request.fields.string("content", kMaxTextBytes).value_or("");
  const bool with_pieces = request.fields.boolean("with_pieces").value_or(false);
  EncodeOptions options;
  options.add_special = request.fields.boolean("add_special").value_or(false);
  options.parse_special = request.fields.boolean("parse_special").value_or(true);
  request.fields.finish();
  if (request.problem) return *request.problem;
  const Tokenizer& tokenizer = *model.text->tokenizer;
  const auto ids = tokenizer.encode(content, options);
  auto tokens = list_json(ids, "content", [&](std::string& out, int32_t id) {
    if (!with_pieces) return append_json_integer(out, id);
    out += R"({"id":)";
    append_json_integer(out, id);
    out += R"(,"piece":)";
    append_piece(out, tokenizer, id);
    out += '}';
  });
  if (std::holds_alternative<ApiError>(tokens)) return tokens;
  return R"({"tokens":)" + std::get<std::string>(tokens) + "}";
}

// The messages as text, checked like those of a chat completion.
JsonOrError chat_text(SmallRequest& request, const ModelView& model) {
  json::object chat{{"model", model.card->name()}};
  for (const char* key : {"messages", "add_generation_prompt", "continue_final_message",
                          "chat_template_kwargs", "tools"}) {
    if (const json::value* value = request.fields.find(key)) chat[key] = *value;
  }
  auto parsed = parse_chat_completion(json::serialize(chat));
  if (auto* refused = std::get_if<RefusedRequest>(&parsed)) return std::move(refused->error);
  return render_chat(std::get<ValidRequest>(parsed), *model.text);
}

// [...] of the pieces, or null where nobody asked for them.
JsonOrError token_strings(const std::vector<int32_t>& ids, const Tokenizer& tokenizer, bool wanted,
                          const char* param) {
  if (!wanted) return "null";
  return list_json(ids, param,
                   [&](std::string& out, int32_t id) { append_piece(out, tokenizer, id); });
}

JsonOrError tokenize_prompt(SmallRequest& request, const ModelView& model) {
  auto result = tokenized(request, model);
  if (auto* error = std::get_if<ApiError>(&result)) return std::move(*error);
  const auto& prompt = std::get<TokenizedPrompt>(result);
  auto tokens = list_json(prompt.ids, prompt.param, append_json_integer);
  if (std::holds_alternative<ApiError>(tokens)) return tokens;
  auto strings =
      token_strings(prompt.ids, *model.text->tokenizer, prompt.with_strings, prompt.param);
  if (std::holds_alternative<ApiError>(strings)) return strings;
  return fmt::format(R"({{"count":{},"max_model_len":{},"tokens":{},"token_strs":{}}})",
                     prompt.ids.size(), model.card->max_model_len(), std::get<std::string>(tokens),
                     std::get<std::string>(strings));
}

}  // namespace

std::variant<TokenizedPrompt, ApiError> tokenized(SmallRequest& request, const ModelView& model) {
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
  TokenizedPrompt prompt;
  prompt.with_strings = request.fields.boolean("return_token_strs").value_or(false);
  prompt.param = chat ? "messages" : "prompt";
  request.fields.finish();
  if (request.problem) return *request.problem;
  prompt.ids =
      model.text->tokenizer->encode(text, {.add_special = add_special, .parse_special = true});
  return prompt;
}

void handle_tokenize(EndpointCall call) {
  run_small_request(std::move(call), read_json_body,
                    [](SmallRequest& request, const ModelView& model) {
                      return request.fields.has("content") ? tokenize_content(request, model)
                                                           : tokenize_prompt(request, model);
                    });
}

}  // namespace bessemer
