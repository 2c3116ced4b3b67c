// A protobuf message as the JSON object that the REST API would have got: the fields that are set,
// by name. What reads and checks a request is then the same for both.
#pragma once
#include <string_view>
#include <variant>

#include <google/protobuf/message.h>

#include "common/json.h"
#include "router/openai/error.h"

namespace bessemer {

// Messages become objects, maps objects with their keys spelt out, google.protobuf.Struct what it
// stands for; bytes and enumerations do not occur. A 400 where the client set a field that this
// server does not know (proto3 would drop it in silence).
std::variant<json::object, ApiError> json_of(const google::protobuf::Message& message);

// `body` as a Message; a 400 where it is none.
template <typename Message>
std::variant<json::object, ApiError> json_of_body(std::string_view body) {
  Message message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size())))
    return malformed_body("The message is not a valid " + message.GetTypeName() + ".");
  return json_of(message);
}

}  // namespace bessemer
