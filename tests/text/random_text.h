// Texts and bytes from a seed, for tests of properties.
#pragma once
#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "router/text/unicode.h"

namespace bessemer::test {

using Rng = std::mt19937_64;

inline size_t below(Rng& rng, size_t bound) {
  return std::uniform_int_distribution<size_t>(0, bound - 1)(rng);
}

inline std::string random_bytes(Rng& rng, size_t most) {
  std::string bytes(below(rng, most + 1), '\0');
  for (char& byte : bytes) byte = static_cast<char>(below(rng, 256));
  return bytes;
}

// Scalar values of every plane, the lower ones more often.
inline std::string random_unicode(Rng& rng, size_t most_characters) {
  static constexpr size_t kBounds[] = {0x80, 0x800, 0x10000, 0x110000};
  std::string text;
  for (size_t left = below(rng, most_characters + 1); left > 0;) {
    const auto code = static_cast<char32_t>(below(rng, kBounds[below(rng, 4)]));
    if (code >= 0xD800 && code < 0xE000) continue;
    append_utf8(text, code);
    --left;
  }
  return text;
}

inline std::string random_string_of(Rng& rng, std::string_view letters, size_t most) {
  std::string text(below(rng, most + 1), '\0');
  for (char& letter : text) letter = letters[below(rng, letters.size())];
  return text;
}

// `text` cut into pieces of 1 to `most` bytes.
inline std::vector<std::string> random_cuts(Rng& rng, std::string_view text, size_t most) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const size_t length = std::min(text.size(), 1 + below(rng, most));
    pieces.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return pieces;
}

}  // namespace bessemer::test
