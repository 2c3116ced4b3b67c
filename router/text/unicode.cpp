#include "router/text/unicode.h"

#include <array>
#include <cstring>

namespace bessemer {
namespace {

// What a lead byte asks for: the sequence's length, and the range of its second byte, which is
// where overlong forms, surrogates and codes beyond U+10FFFF are refused (Unicode 15.0, table 3-7).
struct Lead {
  uint8_t length = 0;  // 0: not a lead byte
  uint8_t low = 0x80, high = 0xBF;
};

constexpr Lead lead_of(unsigned byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

constexpr std::array<Lead, 256> make_leads() {
  std::array<Lead, 256> leads;
  for (unsigned byte = 0; byte < 256; ++byte) leads[byte] = lead_of(byte);
  return leads;
}
constexpr std::array<Lead, 256> kLeads = make_leads();

constexpr bool prints_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstSubstitute = 0x100;  // the alphabet's letters for bytes that do not print
constexpr size_t kSubstitutes = 68;

struct Alphabet {
  std::array<char32_t, 256> letter{};
  std::array<int16_t, kFirstSubstitute + kSubstitutes> byte{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next = kFirstSubstitute;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t letter = prints_itself(byte) ? byte : next++;
    alphabet.letter[byte] = letter;
    alphabet.byte[letter] = static_cast<int16_t>(byte);
  }
  return alphabet;
}
constexpr Alphabet kAlphabet = make_alphabet();

size_t ascii_prefix(std::string_view text, size_t at) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    if (word & kHighBits) break;
  }
  while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace

DecodedCharacter decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const Lead lead = kLeads[byte(0)];
  if (lead.length == 1) return {byte(0), 1, true, false};
  if (lead.length == 0) return {};
  char32_t code = byte(0) & (0x7FU >> lead.length);
  const size_t available = text.size() - at;
  for (uint8_t i = 1; i < lead.length; ++i) {
    if (i == available) return {kReplacementCharacter, i, false, true};
    const uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (byte(i) < low || byte(i) > high) return {kReplacementCharacter, i, false, false};
    code = code << 6 | (byte(i) & 0x3FU);
  }
  return {code, lead.length, true, false};
}

void append_utf8(std::string& out, char32_t code) {
  const auto trail = [&](unsigned shift) {
    out.push_back(static_cast<char>(0x80 | (code >> shift & 0x3F)));
  };
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | code >> 6));
    trail(0);
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | code >> 12));
    trail(6), trail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | code >> 18));
    trail(12), trail(6), trail(0);
  }
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while ((at = ascii_prefix(text, at)) < text.size()) {
    const DecodedCharacter character = decode_utf8(text, at);
    if (!character.valid) return at;
    at += character.length;
  }
  return at;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t valid = valid_utf8_prefix(bytes);
    text.append(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    text.append(kReplacementUtf8);
    bytes.remove_prefix(decode_utf8(bytes, 0).length);
  }
  return text;
}

char32_t byte_to_alphabet(uint8_t byte) {
  return kAlphabet.letter[byte];
}

int alphabet_to_byte(char32_t code) {
  return code < kAlphabet.byte.size() ? kAlphabet.byte[code] : -1;
}

bool decode_byte_alphabet(std::string_view spelling, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < spelling.size();) {
    const DecodedCharacter character = decode_utf8(spelling, at);
    const int byte = character.valid ? alphabet_to_byte(character.code) : -1;
    if (byte < 0) return false;
    bytes.push_back(static_cast<char>(byte));
    at += character.length;
  }
  return true;
}

}  // namespace bessemer
