#include "worker/format/printable.h"

#include <cstdint>

#include <fmt/format.h>

#include "worker/format/utf8.h"

namespace bessemer {
namespace {

// Line and paragraph separators, and the marks that reorder the text around them.
bool moves_text(uint32_t c) {
  return c == 0x200e || c == 0x200f || c == 0x061c || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

std::string escape(uint32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      return c < 0x80 ? fmt::format("\\x{:02x}", c) : fmt::format("\\u{{{:x}}}", c);
  }
}

bool needs_escape(uint32_t c) {
  return c < 0x20 || c == '\\' || (c >= 0x7f && c < 0xa0) || moves_text(c);
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= max_bytes) return out + "…";
    const CodePoint c = decode_code_point(text);
    if (c.bytes == 0) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[0]));
    } else if (needs_escape(c.value)) {
      out += escape(c.value);
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes == 0 ? 1 : c.bytes);
  }
  return out;
}

}  // namespace bessemer
