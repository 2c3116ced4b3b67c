// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bessemer {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: not UTF-8
};

// The code point at the start of `text`, which is not empty.
CodePoint decode_code_point(std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace bessemer
