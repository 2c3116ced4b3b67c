// Text out of a file, made fit for a terminal, a log line or an error message.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace bessemer {

// At most about `max_bytes` of `text`, then "…": control characters, DEL, C1 controls, backslashes,
// direction marks and bytes that are not UTF-8 come out as \n, \t, \x1b, \u{202e} and the like, so
// the result is always valid UTF-8 that prints on one line and moves no cursor.
std::string printable(std::string_view text, size_t max_bytes);

}  // namespace bessemer
