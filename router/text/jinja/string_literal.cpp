#include "router/text/jinja/string_literal.h"

#include <charconv>

#include "router/text/jinja/runtime.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

// Reads up to `most` digits of `base` behind `at`, which moves on; -1: there is none.
int64_t read_digits(std::string_view literal, size_t& at, size_t most, int base) {
  int64_t value = -1;
  const char* const begin = literal.data() + at;
  const auto end =
      std::from_chars(begin, begin + std::min(most, literal.size() - at), value, base).ptr;
  at += static_cast<size_t>(end - begin);
  return end == begin ? -1 : value;
}

Status append_code(std::string& out, int64_t code) {
  if (code >= 0xd800 && code < 0xe000) return fail("a string contains half of a surrogate pair");
  if (code < 0 || code > 0x10ffff) return fail("a string contains an escape that is no character");
  unicode::append(out, static_cast<char32_t>(code));
  return {};
}

Status append_hexadecimal(std::string& out, std::string_view literal, size_t& at, size_t digits) {
  const size_t begin = at;
  const bool sign = at < literal.size() && literal[at] == '-';
  const int64_t code = sign ? -1 : read_digits(literal, at, digits, 16);
  if (at - begin != digits) return fail("a string contains a truncated \\x, \\u or \\U escape");
  return append_code(out, code);
}

// Python turns characters beyond ASCII into escapes first, so that a backslash before one escapes
// that escape.
void append_doubly_escaped(std::string& out, std::string_view literal, size_t& at) {
  const auto code = static_cast<uint32_t>(unicode::next(literal, at));
  out += code < 0x100     ? fmt::format("\\x{:02x}", code)
         : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                          : fmt::format("\\U{:08x}", code);
}

}  // namespace

StatusOr<std::string> unescape(std::string_view literal) {
  constexpr std::string_view kNames = "nrtabfv\\'\"\n", kMeanings = "\n\r\t\a\b\f\v\\'\"";
  std::string out;
  out.reserve(literal.size());
  for (size_t at = 0; at < literal.size();) {
    const char character = literal[at++];
    if (character != '\\' || at == literal.size()) {
      out += character;
      continue;
    }
    const char name = literal[at];
    if (const size_t known = kNames.find(name); known != std::string_view::npos) {
      if (name != '\n') out += kMeanings[known];  // an escaped newline joins lines
      ++at;
    } else if (name >= '0' && name <= '7') {
      RETURN_IF_ERROR(append_code(out, read_digits(literal, at, 3, 8)));
    } else if (name == 'x' || name == 'u' || name == 'U') {
      RETURN_IF_ERROR(append_hexadecimal(out, literal, ++at,
                                         name == 'x'   ? 2
                                         : name == 'u' ? 4
                                                       : 8));
    } else if (name == 'N') {
      return fail("a string contains \\N{{...}}, which is not supported: write \\u and the number");
    } else if (static_cast<unsigned char>(name) >= 0x80) {
      append_doubly_escaped(out, literal, at);
    } else {
      out += '\\';
    }
  }
  return out;
}

}  // namespace bessemer::jinja
