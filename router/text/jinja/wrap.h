// Python's textwrap.wrap() for one line.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace bessemer::jinja {

struct WrapStyle {
  size_t width = 79;  // characters
  bool break_long_words = true;
  bool break_on_hyphens = true;
};

std::vector<std::string> wrap_line(std::string_view line, const WrapStyle& style);

}  // namespace bessemer::jinja
