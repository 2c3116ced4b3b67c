// Which parameter of the API a worker's refusal is about.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "router/openai/valid_request.h"

namespace bessemer {

// The detail of a TOO_LARGE or BAD_INPUT begins with the name of the field at fault, where it is
// one (proto/README.md); nullopt: it does not, or the client has no name for it.
std::optional<std::string> refused_param(std::string_view detail, ApiKind kind);

}  // namespace bessemer
