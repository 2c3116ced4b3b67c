#include "router/text/unicode.h"

#include <set>

#include <gtest/gtest.h>

namespace bessemer {
namespace {

TEST(DecodeUtf8, TakesEveryScalarValueAndReturnsItsBytes) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const DecodedCharacter character = decode_utf8(text, 0);
    ASSERT_TRUE(character.valid) << static_cast<uint32_t>(code);
    ASSERT_EQ(character.code, code);
    ASSERT_EQ(character.length, text.size());
  }
}

TEST(DecodeUtf8, RefusesOverlongFormsSurrogatesAndCodesBeyondTheLast) {
  for (const std::string_view text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\x80"}) {
    const DecodedCharacter character = decode_utf8(text, 0);
    EXPECT_FALSE(character.valid);
    EXPECT_FALSE(character.truncated);
    EXPECT_EQ(character.length, 1);
  }
}

TEST(DecodeUtf8, TellsACharacterThatTheEndCutsOff) {
  for (const std::string_view text : {"\xC3", "\xE2\x96", "\xF0\x9F", "\xF0\x9F\xA6"}) {
    const DecodedCharacter character = decode_utf8(text, 0);
    EXPECT_TRUE(character.truncated);
    EXPECT_EQ(character.length, text.size());
  }
}

// What Python's bytes.decode("utf-8", "replace") gives.
TEST(ReplaceInvalidUtf8, ReplacesEachMaximalSubpartByOneCharacter) {
  const std::string r(kReplacementUtf8);
  EXPECT_EQ(replace_invalid_utf8(""), "");
  EXPECT_EQ(replace_invalid_utf8("aé中🦙"), "aé中🦙");
  EXPECT_EQ(replace_invalid_utf8("a\xF1\x80\x80\xE1\x80\xC2"
                                 "b\x80"
                                 "c\x80\xBF"
                                 "d"),
            "a" + r + r + r + "b" + r + "c" + r + r + "d");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(replace_invalid_utf8("12345678\xE2\x96"), "12345678" + r);
}

TEST(ValidUtf8Prefix, EndsInFrontOfTheFirstInvalidByte) {
  EXPECT_EQ(valid_utf8_prefix(""), 0U);
  EXPECT_EQ(valid_utf8_prefix("0123456789abcdef"), 16U);
  EXPECT_EQ(valid_utf8_prefix("0123456789\xFF"
                              "abcdef"),
            10U);
  EXPECT_EQ(valid_utf8_prefix("äöü\xE2\x96"), 6U);
}

TEST(ByteAlphabet, IsABijection) {
  std::set<char32_t> letters;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t letter = byte_to_alphabet(static_cast<uint8_t>(byte));
    EXPECT_EQ(alphabet_to_byte(letter), byte);
    letters.insert(letter);
  }
  EXPECT_EQ(letters.size(), 256U);
  EXPECT_EQ(byte_to_alphabet(' '), U'Ġ');
  EXPECT_EQ(byte_to_alphabet('\n'), U'Ċ');
  EXPECT_EQ(byte_to_alphabet('a'), U'a');
  EXPECT_EQ(alphabet_to_byte(U'中'), -1);
}

TEST(DecodeByteAlphabet, RefusesOtherLetters) {
  std::string bytes;
  EXPECT_TRUE(decode_byte_alphabet("ĠHello", bytes));
  EXPECT_EQ(bytes, " Hello");
  EXPECT_FALSE(decode_byte_alphabet("<｜end▁of▁sentence｜>", bytes));
  EXPECT_FALSE(decode_byte_alphabet("a b", bytes));
  EXPECT_FALSE(decode_byte_alphabet("\xC3", bytes));
}

}  // namespace
}  // namespace bessemer
