#include <utility>

#include "router/openai/limits.h"
#include "router/openai/parse_parts.h"

namespace bessemer {
namespace {

void read_part(FieldReader& part, std::string& text) {
  part.require("type");
  const json::value* type = part.find("type");
  if (type != nullptr && (!type->is_string() || type->get_string() != "text")) {
    const std::string got = type->is_string() ? "'" + std::string(type->get_string()) + "'"
                                              : "something that is no string";
    return part.fail("type", "must be 'text': this model reads nothing else. It is " + got + ".");
  }
  part.require("text");
  if (const auto piece = part.string("text", SIZE_MAX)) {
    if (!text.empty()) text += '\n';  // as vLLM and llama.cpp join parts
    text += *piece;
  }
  part.finish();
}

// Content as one JSON string, whether it came as a string or as parts; nullopt when absent.
std::optional<json::value> read_content(FieldReader& message) {
  json::value* content = message.find("content");
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return std::move(*content);
  json::array* parts = content->if_array();
  if (parts == nullptr) {
    message.fail("content", "must be a string or an array of parts.");
    return std::nullopt;
  }
  if (parts->empty()) message.fail("content", "must have at least one part.");
  std::string text;
  for (size_t i = 0; i < parts->size() && !message.failed(); ++i) {
    const std::string path = item_path(message.path_of("content"), i);
    if (json::object* object = message.as_object((*parts)[i], path)) {
      FieldReader part(*object, path, message.problem());
      read_part(part, text);
    }
  }
  return json::value(text);
}

// Templates want arguments as a mapping; the API sends them as JSON text. What a model wrote
// wrongly stays text, so that it can be told of its mistake.
json::value arguments_for_template(std::string_view text) {
  if (text.empty()) return json::object();
  StatusOr<json::value> parsed = parse_json(text);
  if (parsed.ok() && parsed->is_object()) return *std::move(parsed);
  return json::value(text);
}

json::value read_tool_call(FieldReader& call) {
  json::object out;
  call.require("id");
  if (auto id = call.string("id", kMaxNameBytes)) out["id"] = *id;
  call.choice("type", {"function"});
  out["type"] = "function";
  call.require("function");
  if (json::object* object = call.object("function")) {
    FieldReader function(*object, call.path_of("function"), call.problem());
    json::object& named = out["function"].emplace_object();
    function.require("name");
    if (auto name = function.string("name", kMaxNameBytes)) named["name"] = *name;
    function.require("arguments");
    if (auto text = function.string("arguments", SIZE_MAX))
      named["arguments"] = arguments_for_template(*text);
    function.finish();
  }
  call.finish();
  return out;
}

void read_tool_calls(FieldReader& message, json::object& out) {
  json::array* calls = message.array("tool_calls");
  if (calls == nullptr) return;
  json::array& list = out["tool_calls"].emplace_array();
  for (size_t i = 0; i < calls->size() && !message.failed(); ++i) {
    const std::string path = item_path(message.path_of("tool_calls"), i);
    if (json::object* object = message.as_object((*calls)[i], path)) {
      FieldReader call(*object, path, message.problem());
      list.push_back(read_tool_call(call));
    }
  }
  if (list.empty()) out.erase("tool_calls");  // clients send back [] for "none"
}

// What only an assistant's turn has. A client sends back what it was answered, so the null fields
// of an answer must pass.
void read_assistant(FieldReader& message, json::object& out) {
  read_tool_calls(message, out);
  for (const char* key : {"reasoning_content", "reasoning"}) {
    if (auto text = message.string(key, SIZE_MAX)) out[key] = *text;
  }
  if (message.has("function_call")) message.refuse("function_call", "send 'tool_calls' instead.");
  if (message.has("audio")) message.refuse("audio", "this model has no voice.");
  if (message.has("refusal")) message.refuse("refusal", "send its text as 'content'.");
  const json::array* annotations = message.array("annotations");
  if (annotations != nullptr && !annotations->empty())
    message.refuse("annotations", "leave them out.");
}

json::object read_message(FieldReader& message) {
  json::object out;
  message.require("role");
  if (message.has("role") && *message.find("role") == "function") {
    message.refuse("role", "'function' is the old form; send role 'tool' with 'tool_call_id'.");
  }
  const std::string_view role =
      message.choice("role", {"system", "developer", "user", "assistant", "tool"}).value_or("");
  // OpenAI: developer messages take the place of system messages. Templates know only the latter.
  out["role"] = role == "developer" ? "system" : role;
  std::optional<json::value> content = read_content(message);
  if (role == "assistant") read_assistant(message, out);
  if (role == "tool") {
    message.require("tool_call_id");
    if (auto id = message.string("tool_call_id", kMaxNameBytes)) out["tool_call_id"] = *id;
  }
  if (!content && !out.contains("tool_calls")) message.require("content");
  out["content"] = content ? *std::move(content) : json::value("");
  if (auto name = message.string("name", kMaxNameBytes)) out["name"] = *name;
  message.choice("type", {"text", "message"});  // lm-evaluation-harness sends it; it says nothing
  message.finish();
  return out;
}

}  // namespace

void read_messages(FieldReader& fields, ValidRequest& request) {
  fields.require("messages");
  json::array* messages = fields.array("messages");
  if (messages == nullptr) return;
  if (messages->empty()) return fields.fail("messages", "must have at least one message.");
  request.messages.reserve(messages->size());
  for (size_t i = 0; i < messages->size() && !fields.failed(); ++i) {
    const std::string path = item_path("messages", i);
    if (json::object* object = fields.as_object((*messages)[i], path)) {
      FieldReader message(*object, path, fields.problem());
      request.messages.push_back(read_message(message));
    }
  }
}

}  // namespace bessemer
