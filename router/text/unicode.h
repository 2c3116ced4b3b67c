// UTF-8 bytes and code points. Invalid input is a value here, never an error.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bessemer {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// One step through a text. `length` is at least 1. An invalid sequence has code U+FFFD and the
// length of its maximal subpart (Unicode 15.0, chapter 3.9, "Substitution of Maximal Subparts"),
// which is what browsers and Python replace as one.
struct DecodedCharacter {
  char32_t code = kReplacementCharacter;
  uint8_t length = 1;
  bool valid = false;
  bool truncated = false;  // invalid only because the text ends here
};

// `at` < text.size().
DecodedCharacter decode_utf8(std::string_view text, size_t at);

// `code`: a Unicode scalar value.
void append_utf8(std::string& out, char32_t code);

// Bytes in front of the first invalid sequence; text.size() if there is none.
size_t valid_utf8_prefix(std::string_view text);

// Each maximal invalid subpart becomes U+FFFD.
std::string replace_invalid_utf8(std::string_view bytes);

// GPT-2's byte alphabet, in which byte-level BPE files spell their tokens: printable bytes stand
// for themselves, the other 68 are U+0100 and up (Radford et al. 2019, encoder.py
// bytes_to_unicode).
char32_t byte_to_alphabet(uint8_t byte);
// -1: not a letter of the alphabet.
int alphabet_to_byte(char32_t code);
// The bytes that `spelling` stands for; false: it has a character outside of the alphabet, and
// `bytes` is unspecified.
bool decode_byte_alphabet(std::string_view spelling, std::string& bytes);

}  // namespace bessemer
