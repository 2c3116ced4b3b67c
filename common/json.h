// JSON is Boost.JSON: objects keep their order, depth is bounded, errors are values. One file
// compiles its sources.
#pragma once
#include <string_view>

#include <boost/json.hpp>

#include "common/status.h"

namespace bessemer {

namespace json = boost::json;

// Deeper nesting is refused: real requests stay under 20, and recursion must stay bounded.
constexpr size_t kMaxJsonDepth = 64;

// One JSON value, with nothing but white space behind it. The error names the byte offset and what
// was wrong.
StatusOr<json::value> parse_json(std::string_view text);

}  // namespace bessemer
