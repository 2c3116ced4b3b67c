#include "router/endpoints/rpc_fields.h"

#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "common/check.h"

namespace bessemer {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class JsonMaker {
 public:
  json::object object_of(const Message& message, const std::string& path);
  std::optional<ApiError> problem;

 private:
  json::value value_of(const Message& message, const FieldDescriptor& field, int at,
                       const std::string& path);
  json::value struct_value(const Message& message, const std::string& path);
  json::object map_of(const Message& message, const FieldDescriptor& field);
  void refuse_unknown(const Message& message, const std::string& path);
};

std::string inner(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

json::object JsonMaker::object_of(const Message& message, const std::string& path) {
  refuse_unknown(message, path);
  json::object out;
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string here = inner(path, field->name());
    if (field->is_map()) {
      out[field->name()] = map_of(message, *field);
    } else if (field->is_repeated()) {
      json::array& list = out[field->name()].emplace_array();
      const int count = message.GetReflection()->FieldSize(message, field);
      list.reserve(static_cast<size_t>(count));
      for (int i = 0; i < count; i++) list.push_back(value_of(message, *field, i, here));
    } else {
      out[field->name()] = value_of(message, *field, -1, here);
    }
  }
  return out;
}

// `at`: the item of a repeated field, -1 for a single one.
json::value JsonMaker::value_of(const Message& message, const FieldDescriptor& field, int at,
                                const std::string& path) {
  const Reflection& get = *message.GetReflection();
  const bool one = at < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? get.GetBool(message, &field) : get.GetRepeatedBool(message, &field, at);
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? get.GetInt32(message, &field) : get.GetRepeatedInt32(message, &field, at);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? get.GetInt64(message, &field) : get.GetRepeatedInt64(message, &field, at);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? get.GetDouble(message, &field) : get.GetRepeatedDouble(message, &field, at);
    case FieldDescriptor::CPPTYPE_STRING:
      return json::value(one ? get.GetString(message, &field)
                             : get.GetRepeatedString(message, &field, at));
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& below =
          one ? get.GetMessage(message, &field) : get.GetRepeatedMessage(message, &field, at);
      if (below.GetDescriptor() == google::protobuf::Struct::descriptor())
        return struct_value(below, path);
      return object_of(below, one ? path : path + "[" + std::to_string(at) + "]");
    }
    default:
      CHECK(false);  // no message of inference.proto's requests has another type
      return nullptr;
  }
}

json::value JsonMaker::struct_value(const Message& message, const std::string& path) {
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text);
  auto parsed = status.ok() ? parse_json(text) : absl::InvalidArgumentError("");
  if (parsed.ok()) return *std::move(parsed);
  if (!problem) problem = bad_request("'" + path + "' is no JSON object.", path);
  return json::object();
}

json::object JsonMaker::map_of(const Message& message, const FieldDescriptor& field) {
  const Reflection& get = *message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  json::object out;
  for (int i = 0; i < get.FieldSize(message, &field); i++) {
    const Message& entry = get.GetRepeatedMessage(message, &field, i);
    const json::value name = value_of(entry, key, -1, "");
    out[name.is_string() ? std::string(name.get_string()) : std::to_string(name.get_int64())] =
        value_of(entry, value, -1, "");
  }
  return out;
}

void JsonMaker::refuse_unknown(const Message& message, const std::string& path) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.empty() || problem) return;
  const std::string number = std::to_string(unknown.field(0).number());
  const std::string where = inner(path, number);
  problem = bad_request("Field " + number + " of " + message.GetTypeName() +
                            " is not known to this server; it may be older than the client.",
                        where, "unsupported_parameter");
}

}  // namespace

std::variant<json::object, ApiError> json_of(const Message& message) {
  JsonMaker maker;
  json::object object = maker.object_of(message, "");
  if (maker.problem) return *std::move(maker.problem);
  return object;
}

}  // namespace bessemer
