#include "router/openai/parse.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "router/openai/limits.h"
#include "router/openai/parse_parts.h"

namespace bessemer {
namespace {

// Names that the template gets from elsewhere, and that a client must not slip in.
constexpr std::string_view kReservedTemplateNames[] = {"messages",
                                                       "tools",
                                                       "documents",
                                                       "bos_token",
                                                       "eos_token",
                                                       "chat_template",
                                                       "tokenize",
                                                       "add_generation_prompt",
                                                       "continue_final_message"};

// First: a refusal's line in the log says whose it was.
void read_names(FieldReader& fields, ValidRequest& request) {
  request.user = fields.string("user", kMaxNameBytes).value_or("");
  fields.require("model");
  if (auto model = fields.string("model", kMaxNameBytes)) request.model = *std::move(model);
  if (request.model.empty()) fields.fail("model", "must not be empty.");
}

// OpenAI's newer name and the older one; both only when they agree.
void read_max_tokens(FieldReader& fields, ValidRequest& request) {
  const auto newer = fields.integer("max_completion_tokens", 1, INT32_MAX);
  const auto older = fields.integer("max_tokens", 1, INT32_MAX);
  if (newer && older && *newer != *older) {
    fields.fail("max_tokens",
                "and 'max_completion_tokens' differ; send only 'max_completion_tokens'.");
  }
  if (newer || older) request.max_tokens = static_cast<int32_t>(newer ? *newer : *older);
}

void read_chat_logprobs(FieldReader& fields, ValidRequest& request) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMaxLogprobs);
  if (top && !wanted) fields.fail("top_logprobs", "needs 'logprobs' to be true.");
  if (wanted) request.top_logprobs = static_cast<int32_t>(top.value_or(0));
}

void read_template_options(FieldReader& fields, ValidRequest& request) {
  const auto add_prompt = fields.boolean("add_generation_prompt");
  request.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  if (request.continue_final_message && add_prompt.value_or(false)) {
    fields.fail("continue_final_message", "and 'add_generation_prompt' cannot both be true.");
  }
  request.add_generation_prompt = add_prompt.value_or(!request.continue_final_message);

  if (json::object* extra = fields.object("chat_template_kwargs")) {
    for (std::string_view name : kReservedTemplateNames) {
      if (!extra->contains(name)) continue;
      const std::string param = fields.path_of("chat_template_kwargs") + "." + std::string(name);
      fields.fail(bad_request(
          "'" + param + "' cannot be set here: the server gives it to the template itself.",
          param));
    }
    request.chat_template_kwargs = std::move(*extra);
  }
  if (auto effort = fields.choice("reasoning_effort",
                                  {"none", "minimal", "low", "medium", "high", "xhigh"})) {
    request.chat_template_kwargs["reasoning_effort"] = *effort;
  }
}

// Of UTF-8, which JSON has been checked to be.
size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; }));
}

void read_metadata(FieldReader& fields, ValidRequest& request) {
  json::object* metadata = fields.object("metadata");
  if (metadata == nullptr) return;
  if (metadata->size() > kMaxMetadata) {
    fields.fail("metadata", "must have at most " + std::to_string(kMaxMetadata) + " keys.");
  }
  for (const json::key_value_pair& pair : *metadata) {
    const std::string param = fields.path_of("metadata") + "." + std::string(pair.key());
    if (characters(pair.key()) > kMaxMetadataKeyCharacters) {
      fields.fail("metadata",
                  fmt::format("has a key of more than {} characters.", kMaxMetadataKeyCharacters));
    }
    auto text = fields.as_string(pair.value(), param, 4 * kMaxMetadataValueCharacters);
    if (!text) continue;
    if (characters(*text) > kMaxMetadataValueCharacters) {
      fields.fail("metadata." + std::string(pair.key()),
                  fmt::format("must have at most {} characters.", kMaxMetadataValueCharacters));
    }
    request.metadata.emplace(std::string(pair.key()), *std::move(text));
  }
}

// What API.md lists as accepted without effect: it means nothing on one's own server. The types are
// checked all the same.
void read_without_effect(FieldReader& fields) {
  if (fields.boolean("store").value_or(false))
    fields.refuse("store", "nothing is stored here; leave it out or send false.");
  fields.choice("service_tier", {"auto", "default", "flex", "scale", "priority", "fast"});
  fields.string("safety_identifier", kMaxNameBytes);
  fields.choice("verbosity", {"low", "medium", "high"});
}

void read_chat(FieldReader& fields, ValidRequest& request) {
  read_names(fields, request);
  read_messages(fields, request);
  read_max_tokens(fields, request);
  read_chat_logprobs(fields, request);
  read_template_options(fields, request);
  read_metadata(fields, request);
  read_without_effect(fields);
  request.prompt_cache_key = fields.string("prompt_cache_key", kMaxNameBytes).value_or("");
  read_tools(fields);
}

void read_prompts(FieldReader& fields, ValidRequest& request) {
  fields.require("prompt");
  json::value* prompt = fields.find("prompt");
  if (prompt == nullptr) return;
  if (prompt->is_string()) {
    request.prompts.emplace_back(std::string(prompt->get_string()));
    return;
  }
  json::array* list = prompt->if_array();
  if (list == nullptr)
    return fields.fail("prompt",
                       "must be a string or an array of strings, of ids or of arrays of ids.");
  if (list->empty()) return fields.fail("prompt", "must not be empty.");
  if (list->front().is_number()) {
    request.prompts.emplace_back(fields.as_ids(*list, fields.path_of("prompt"), list->size()));
    return;
  }
  if (list->size() > kMaxPrompts) {
    return fields.fail("prompt", "must have at most " + std::to_string(kMaxPrompts) + " prompts.");
  }
  const bool texts = list->front().is_string();
  for (json::value& item : *list) {
    const std::string param = item_path(fields.path_of("prompt"), request.prompts.size());
    if (texts) {
      request.prompts.emplace_back(fields.as_string(item, param, SIZE_MAX).value_or(""));
    } else if (const json::array* ids = fields.as_array(item, param)) {
      if (ids->empty()) fields.fail(bad_request("'" + param + "' must not be empty.", param));
      request.prompts.emplace_back(fields.as_ids(*ids, param, ids->size()));
    }
    if (fields.failed()) return;
  }
}

constexpr int32_t kDefaultCompletionTokens = 16;  // OpenAI's

void read_completion(FieldReader& fields, ValidRequest& request) {
  read_names(fields, request);
  read_prompts(fields, request);
  request.echo = fields.boolean("echo").value_or(false);
  request.max_tokens = static_cast<int32_t>(
      fields.integer("max_tokens", 0, INT32_MAX).value_or(kDefaultCompletionTokens));
  if (*request.max_tokens == 0 && !request.echo)
    fields.fail("max_tokens", "must be at least 1 unless 'echo' is true.");
  if (const auto top = fields.integer("logprobs", 0, kMaxLogprobs))
    request.top_logprobs = static_cast<int32_t>(*top);
}

void read_best_of(FieldReader& fields, const ValidRequest& request) {
  const auto best_of = fields.integer("best_of", 1, kMaxChoices);
  if (best_of && *best_of < request.n) fields.fail("best_of", "must be at least 'n'.");
  if (best_of && *best_of > request.n) {
    fields.refuse("best_of",
                  "every choice that is made is returned; leave it out, or set it to 'n'.");
  }
}

// Checks across what the single readers have read.
void check_together(FieldReader& fields, const ValidRequest& request) {
  if (request.kind == ApiKind::completion) read_best_of(fields, request);
  const size_t answers = request.prompts.size() * static_cast<size_t>(request.n);
  if (answers > kMaxPrompts) {
    fields.fail("n", "times the number of prompts is " + std::to_string(answers) + ", above " +
                         std::to_string(kMaxPrompts) + ".");
  }
  if (request.max_tokens && request.sampling.min_tokens > *request.max_tokens) {
    fields.fail("min_tokens", "must not be above the most tokens that the answer may have (" +
                                  std::to_string(*request.max_tokens) + ").");
  }
}

ParseResult parse_body(std::string_view body, ApiKind kind) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return malformed_body("The body is empty; send a JSON object.");
  }
  StatusOr<json::value> root = parse_json(body);
  if (!root.ok())
    return malformed_body("The body is not valid JSON: " + std::string(root.status().message()));
  if (!root->is_object()) return malformed_body("The body must be a JSON object.");
  return parse_request(kind, root->get_object());
}

}  // namespace

ParseResult parse_request(ApiKind kind, json::object& body) {
  ValidRequest request;
  request.kind = kind;
  std::optional<ApiError> problem;
  FieldReader fields(body, "", problem);
  if (kind == ApiKind::chat) {
    read_chat(fields, request);
  } else {
    read_completion(fields, request);
  }
  read_common(fields, request);
  read_sampling(fields, request);
  check_together(fields, request);
  read_output_format(fields);
  refuse_unsupported(fields, kind);
  fields.finish();
  if (problem) return RefusedRequest(*std::move(problem), request);
  return request;
}

ParseResult parse_chat_completion(std::string_view body) {
  return parse_body(body, ApiKind::chat);
}
ParseResult parse_completion(std::string_view body) {
  return parse_body(body, ApiKind::completion);
}

}  // namespace bessemer
