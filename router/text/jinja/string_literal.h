// Backslash escapes in string literals.
#pragma once
#include <string>
#include <string_view>

#include "common/status.h"

namespace bessemer::jinja {

// The text that the inside of a literal stands for, with Python's escapes; unknown ones stay as
// they are. InvalidArgument: a malformed \x, \u or \U, a lone surrogate, or \N{...}, which is not
// supported.
StatusOr<std::string> unescape(std::string_view literal);

}  // namespace bessemer::jinja
