#include "router/openai/json_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace bessemer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr float kUnlikely = -9999.0f;

enum class ByteClass : uint8_t { plain, escape, multibyte };

constexpr std::array<ByteClass, 256> make_classes() {
  std::array<ByteClass, 256> classes{};
  for (size_t byte = 0; byte < classes.size(); ++byte) {
    const bool escape = byte < 0x20 || byte == '"' || byte == '\\';
    classes[byte] = escape        ? ByteClass::escape
                    : byte < 0x80 ? ByteClass::plain
                                  : ByteClass::multibyte;
  }
  return classes;
}
constexpr std::array<ByteClass, 256> kClasses = make_classes();

unsigned byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

struct Sequence {
  size_t bytes;  // of the character, or of the maximal part of one; at least 1
  bool valid;
};

// The sequence that starts at `at`, whose first byte is not ASCII. The second byte's range depends
// on the first (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
Sequence multibyte_at(std::string_view text, size_t at) {
  const unsigned first = byte_at(text, at);
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return {1, false};
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (at + i >= text.size()) return {i, false};
    const unsigned byte = byte_at(text, at + i);
    if (byte < (i == 1 ? low : 0x80) || byte > (i == 1 ? high : 0xBF)) return {i, false};
  }
  return {length, true};
}

void append_escape(std::string& out, unsigned byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (byte) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  size_t copied = 0;  // everything before it is in `out`
  size_t at = 0;
  while (at < text.size()) {
    const ByteClass kind = kClasses[byte_at(text, at)];
    if (kind == ByteClass::plain) {
      ++at;
      continue;
    }
    if (kind == ByteClass::multibyte) {
      const Sequence sequence = multibyte_at(text, at);
      if (!sequence.valid) {
        out.append(text.substr(copied, at - copied)).append(kReplacement);
        copied = at + sequence.bytes;
      }
      at += sequence.bytes;
      continue;
    }
    out.append(text.substr(copied, at - copied));
    append_escape(out, byte_at(text, at));
    copied = ++at;
  }
  out.append(text.substr(copied));
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_json_escaped(out, text);
  out += '"';
}

void append_json_integer(std::string& out, int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_json_bytes(std::string& out, std::string_view text) {
  out += '[';
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0) out += ',';
    append_json_integer(out, byte_at(text, i));
  }
  out += ']';
}

void append_json_logprob(std::string& out, float value) {
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, std::isfinite(value) ? value : kUnlikely).ptr;
  out.append(digits, end);
}

bool is_valid_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (byte_at(text, at) < 0x80) {
      ++at;
      continue;
    }
    const Sequence sequence = multibyte_at(text, at);
    if (!sequence.valid) return false;
    at += sequence.bytes;
  }
  return true;
}

}  // namespace bessemer
