// Python's two ways of formatting: "%s" % x and "{}".format(x).
#pragma once
#include "router/text/jinja/objects.h"

namespace bessemer::jinja {

// template % values. A tuple or a mapping gives several values.
StatusOr<Value> format_percent(Runtime& runtime, const Value& format, const Value& values);
// format.format(*positional, **named).
StatusOr<Value> format_braces(Runtime& runtime, std::string_view format, const Arguments& given);
// format(value, spec): the part behind the colon in "{:>10}".
Status write_formatted(Runtime& runtime, TextBuilder& out, const Value& value,
                       std::string_view spec);

}  // namespace bessemer::jinja
