// str() and repr(), in one place for printing, joining and formatting.
#pragma once
#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

Status write_str(Runtime& runtime, TextBuilder& out, const Value& value);
Status write_repr(Runtime& runtime, TextBuilder& out, const Value& value, int depth = 0);
// str(value) as a value; a string is itself.
StatusOr<Value> to_text(Runtime& runtime, const Value& value);
void write_quoted(TextBuilder& out, std::string_view text, bool ascii_only = false);

}  // namespace bessemer::jinja
