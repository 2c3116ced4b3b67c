// Source to Program.
#pragma once
#include <memory>
#include <string_view>

#include "common/status.h"
#include "router/text/jinja/ast.h"

namespace bessemer::jinja {

// Parsed and with all names resolved. InvalidArgument names line, column and the thing.
StatusOr<std::unique_ptr<const Program>> parse(std::string_view source);

// Decides in which slot of which scope every variable lives, by Jinja2's rules. InvalidArgument:
// more variables than slots can be counted.
Status resolve(Program& program);

}  // namespace bessemer::jinja
