// JSON in and out: Boost.JSON to values, values to the text that Python's json.dumps writes.
#pragma once
#include <string_view>

#include "common/json.h"
#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

// Text stays where it is: `json` outlives the rendering.
StatusOr<Value> from_json(Runtime& runtime, const json::value& json);
StatusOr<Value> from_json(Runtime& runtime, const json::array& array);

struct JsonStyle {
  bool ascii_only = false;
  bool sort_keys = false;
  bool indented = false;
  std::string_view indent;  // of one level
  std::string_view item_separator = ", ", key_separator = ": ";
};

Status write_json(Runtime& runtime, TextBuilder& out, const Value& value, const JsonStyle& style,
                  int depth = 0);

}  // namespace bessemer::jinja
