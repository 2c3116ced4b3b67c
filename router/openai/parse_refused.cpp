#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "router/openai/limits.h"
#include "router/openai/parse_parts.h"

namespace bessemer {
namespace {

constexpr const char* kNotYet = "this server does not offer it yet; leave it out.";

// Names of the functions that `tools` declares.
std::vector<std::string> read_tool_names(FieldReader& fields, json::array& tools) {
  std::vector<std::string> names;
  for (size_t i = 0; i < tools.size() && !fields.failed(); ++i) {
    const std::string path = item_path(fields.path_of("tools"), i);
    json::object* object = fields.as_object(tools[i], path);
    if (object == nullptr) break;
    FieldReader tool(*object, path, fields.problem());
    tool.require("type");
    tool.choice("type", {"function"});
    tool.require("function");
    if (json::object* function = tool.object("function")) {
      FieldReader inner(*function, tool.path_of("function"), fields.problem());
      inner.require("name");
      names.push_back(inner.string("name", kMaxNameBytes).value_or(""));
    }
  }
  return names;
}

void read_tool_choice(FieldReader& fields, const std::vector<std::string>& names) {
  json::value* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    fields.choice("tool_choice", {"none", "auto", "required"});
    return;
  }
  json::object* object = fields.as_object(*choice, fields.path_of("tool_choice"));
  if (object == nullptr) return;
  FieldReader reader(*object, fields.path_of("tool_choice"), fields.problem());
  reader.require("type");
  reader.choice("type", {"function"});
  reader.require("function");
  json::object* function = reader.object("function");
  if (function == nullptr) return;
  FieldReader inner(*function, reader.path_of("function"), fields.problem());
  inner.require("name");
  const std::string name = inner.string("name", kMaxNameBytes).value_or("");
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    inner.fail("name", "names a tool that is not in 'tools': '" + name + "'.");
  }
}

// True when `response_format` asks for anything but text.
bool read_response_format(FieldReader& fields) {
  json::object* format = fields.object("response_format");
  if (format == nullptr) return false;
  FieldReader reader(*format, fields.path_of("response_format"), fields.problem());
  reader.require("type");
  const std::string_view type =
      reader.choice("type", {"text", "json_object", "json_schema"}).value_or("text");
  if (type == "json_schema") {
    reader.require("json_schema");
    if (json::object* schema = reader.object("json_schema")) {
      FieldReader inner(*schema, reader.path_of("json_schema"), fields.problem());
      inner.require("name");
      inner.string("name", kMaxNameBytes);
      inner.object("schema");
      inner.boolean("strict");
    }
  }
  return type != "text";
}

// How many kinds of constraint `structured_outputs` holds.
int read_structured_outputs(FieldReader& fields) {
  json::object* outputs = fields.object("structured_outputs");
  if (outputs == nullptr) return 0;
  FieldReader reader(*outputs, fields.path_of("structured_outputs"), fields.problem());
  int kinds = 0;
  for (const char* kind : {"json", "regex", "choice", "grammar", "json_object", "structural_tag"})
    kinds += reader.has(kind);
  reader.finish();
  if (kinds == 0)
    fields.fail("structured_outputs", "must have one of 'json', 'regex', 'choice' or 'grammar'.");
  return kinds;
}

// A value that asks for what happens anyway.
enum class Neutral : uint8_t { none, is_false, is_true };
struct Unsupported {
  const char* name;
  const char* why = kNotYet;
  Neutral neutral = Neutral::none;
};

bool is_neutral(const json::value& value, Neutral neutral) {
  if (!value.is_bool()) return false;
  return value.get_bool() ? neutral == Neutral::is_true : neutral == Neutral::is_false;
}

constexpr Unsupported kBothKinds[] = {
    {"logits_processors"},
    {"logits_processor_pattern"},
    {"use_beam_search", kNotYet, Neutral::is_false},
    {"length_penalty", "it belongs to beam search, which is not offered."},
    {"spaces_between_special_tokens", kNotYet, Neutral::is_true},
    {"return_tokens_as_token_ids", "use 'return_token_ids'.", Neutral::is_false},
    {"mm_processor_kwargs"},
    {"kv_transfer_params"},
    {"vllm_xargs"},
    {"request_id", "send it as the header 'x-request-id'."},
};
constexpr Unsupported kChatOnly[] = {
    {"functions", "it is the old form of 'tools', which this server does not offer yet."},
    {"function_call", "it is the old form of 'tool_choice', which this server does not offer yet."},
    {"audio", "this model has no voice."},
    {"prediction"},
    {"web_search_options"},
    {"moderation"},
    {"prompt_cache_options", "prompts are cached anyway, and by what they begin with."},
    {"prompt_cache_retention", "prompts stay cached until the room is needed."},
    {"chat_template",
     "the model's own template is used; 'chat_template_kwargs' gives it variables."},
    {"documents"},
    {"echo", "put the text into 'messages' with 'continue_final_message'.", Neutral::is_false},
    {"add_special_tokens", "the template writes them.", Neutral::is_false},
    {"include_reasoning", kNotYet, Neutral::is_true},
};
constexpr Unsupported kCompletionOnly[] = {
    {"suffix", "this model does not fill in the middle."},
    {"prompt_embeds"},
    {"add_special_tokens", kNotYet, Neutral::is_true},
};

void refuse_all(FieldReader& fields, std::span<const Unsupported> list) {
  for (const Unsupported& parameter : list) {
    const json::value* value = fields.find(parameter.name);
    if (value != nullptr && !is_neutral(*value, parameter.neutral))
      fields.refuse(parameter.name, parameter.why);
  }
}

void read_modalities(FieldReader& fields) {
  const json::array* modalities = fields.array("modalities");
  if (modalities == nullptr) return;
  const bool only_text = modalities->size() == 1 && modalities->front() == "text";
  if (!only_text) fields.refuse("modalities", "only [\"text\"] is.");
}

}  // namespace

void read_tools(FieldReader& fields) {
  json::array* tools = fields.array("tools");
  if (tools == nullptr) {
    for (const char* key : {"tool_choice", "parallel_tool_calls"}) {
      if (fields.has(key)) fields.fail(key, "is only allowed with 'tools'.");
    }
    return;
  }
  if (tools->empty())
    return fields.fail("tools", "must have at least one tool; leave it out for none.");
  read_tool_choice(fields, read_tool_names(fields, *tools));
  fields.boolean("parallel_tool_calls");
  fields.refuse("tools", kNotYet);
}

void read_output_format(FieldReader& fields) {
  const bool formatted = read_response_format(fields);
  const int structured = read_structured_outputs(fields);
  int guided = 0;
  const char* last_guided = "guided_json";
  for (const char* key : {"guided_json", "guided_regex", "guided_choice", "guided_grammar"}) {
    if (!fields.has(key)) continue;
    ++guided;
    last_guided = key;
  }
  if ((formatted ? 1 : 0) + structured + guided > 1) {
    fields.fail(
        structured > 0 ? "structured_outputs"
        : guided > 0   ? last_guided
                       : "response_format",
        "is one of several kinds of structured output in this request; only one may be given.");
  }
  if (guided > 0) fields.refuse(last_guided, kNotYet);
  if (structured > 0) fields.refuse("structured_outputs", kNotYet);
  if (formatted) fields.refuse("response_format", "only {\"type\": \"text\"} is, for now.");
  for (const char* key : {"guided_decoding_backend", "guided_whitespace_pattern"}) {
    if (fields.has(key)) fields.refuse(key, kNotYet);
  }
}

void refuse_unsupported(FieldReader& fields, ApiKind kind) {
  refuse_all(fields, kBothKinds);
  if (kind == ApiKind::chat) {
    refuse_all(fields, kChatOnly);
    read_modalities(fields);
  } else {
    refuse_all(fields, kCompletionOnly);
  }
}

}  // namespace bessemer
