#include "router/openai/json_text.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "common/json.h"
#include "common/random.h"

namespace bessemer {
namespace {

std::string json_of(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string logprob(float value) {
  std::string out;
  append_json_logprob(out, value);
  return out;
}

TEST(JsonText, escapes_what_json_asks_for) {
  EXPECT_EQ(json_of(""), R"("")");
  EXPECT_EQ(json_of("plain"), R"("plain")");
  EXPECT_EQ(json_of("\"\\/"), R"("\"\\/")");
  EXPECT_EQ(json_of("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(json_of(std::string_view("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
  EXPECT_EQ(json_of("\xC3\xA9 \xF0\x9F\x98\x80"), "\"\xC3\xA9 \xF0\x9F\x98\x80\"");
}

// Unicode 15, section 3.9, table 3-8 and its neighbours: one U+FFFD for each maximal part of a
// character.
TEST(JsonText, replaces_maximal_invalid_parts) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(json_of("a\xF1\x80\x80\xE1\x80\xC2"
                    "b\x80"
                    "c\x80\xBF"
                    "d"),
            "\"a" + bad + bad + bad + "b" + bad + "c" + bad + bad + "d\"");
  EXPECT_EQ(json_of("\xC0\xAF"), "\"" + bad + bad + "\"");
  EXPECT_EQ(json_of("\xED\xA0\x80"), "\"" + bad + bad + bad + "\"") << "a surrogate";
  EXPECT_EQ(json_of("\xF4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"") << "above U+10FFFF";
  EXPECT_EQ(json_of("\xF0\x9F\x98"), "\"" + bad + "\"") << "cut off";
  EXPECT_EQ(json_of("\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\"") << "the last character there is";
}

TEST(JsonText, random_bytes_give_valid_json) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (uint64_t i = random.below(12); i > 0; --i) {
      // Mostly bytes from the edges of UTF-8's ranges.
      constexpr unsigned char kEdges[] = {0x00, 0x22, 0x5C, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                          0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED,
                                          0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 'a'};
      text += static_cast<char>(random.chance(0.8) ? kEdges[random.below(sizeof kEdges)]
                                                   : random.below(256));
    }
    const StatusOr<json::value> parsed =
        parse_json(json_of(text));  // Boost.JSON checks UTF-8 by itself
    ASSERT_TRUE(parsed.ok()) << "round " << round << ": " << parsed.status().message();
    const std::string back(parsed->as_string());
    EXPECT_EQ(back == text, is_valid_utf8(text)) << "round " << round;
    EXPECT_TRUE(is_valid_utf8(back)) << "round " << round;
  }
}

TEST(JsonText, logprobs_read_back_exactly) {
  Random random(2);
  for (int round = 0; round < 10'000; ++round) {
    const auto value = static_cast<float>(-std::exp(random.uniform() * 30 - 20));
    EXPECT_EQ(std::stof(logprob(value)), value);
    ASSERT_TRUE(parse_json(logprob(value)).ok()) << logprob(value);
  }
}

TEST(JsonText, logprobs_that_json_cannot_say) {
  EXPECT_EQ(logprob(-std::numeric_limits<float>::infinity()), "-9999");
  EXPECT_EQ(logprob(std::numeric_limits<float>::quiet_NaN()), "-9999");
  EXPECT_TRUE(parse_json(logprob(0.0f)).ok());
  EXPECT_TRUE(parse_json(logprob(-0.0f)).ok());
}

TEST(JsonText, bytes) {
  std::string out;
  append_json_bytes(out,
                    "\xF0\x9F"
                    "a");
  EXPECT_EQ(out, "[240,159,97]");
}

}  // namespace
}  // namespace bessemer
