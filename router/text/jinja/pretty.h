// Python's pprint.pformat().
#pragma once
#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

Status write_pretty(Runtime& runtime, TextBuilder& out, const Value& value);

}  // namespace bessemer::jinja
