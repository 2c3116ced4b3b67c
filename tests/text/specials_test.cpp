#include <gtest/gtest.h>

#include "router/text/tokenizer_index.h"
#include "router/text/tokenizer_specials.h"
#include "tests/text/random_text.h"

namespace bessemer {
namespace {

TEST(SpecialMatcher, EqualsTheDefinition) {
  test::Rng rng(17);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> spellings(test::below(rng, 6));
    std::vector<SpecialMatcher::Entry> entries;
    for (std::string& spelling : spellings)
      spelling = "ab"[test::below(rng, 2)] + test::random_string_of(rng, "abc", 4);
    for (size_t i = 0; i < spellings.size(); ++i)
      entries.push_back({spellings[i], static_cast<int32_t>(i)});
    const SpecialMatcher matcher(entries);
    const std::string text = test::random_string_of(rng, "abcd", 30);
    const size_t from = test::below(rng, text.size() + 1);
    SpecialMatcher::Match expected{text.size(), text.size(), -1};
    for (size_t at = from; at < text.size() && expected.id < 0; ++at) {
      for (const auto& entry : entries) {
        const bool here = text.compare(at, entry.spelling.size(), entry.spelling) == 0;
        if (here && (expected.id < 0 || at + entry.spelling.size() > expected.end))
          expected = {at, at + entry.spelling.size(), entry.id};
      }
    }
    const SpecialMatcher::Match match = matcher.find(text, from);
    ASSERT_EQ(match.id, expected.id) << text;
    ASSERT_EQ(match.begin, expected.begin);
    ASSERT_EQ(match.end, expected.end);
  }
}

TEST(SpecialMatcher, TakesASpellingOfAMegabyte) {
  const std::string spelling(1 << 20, 'x');
  const SpecialMatcher matcher({{spelling, 7}});
  EXPECT_EQ(matcher.find(spelling + "x", 0).id, 7);
}

TEST(StringIndex, FindsTheFirstOfEqualStrings) {
  StringIndex index(4, 8);
  EXPECT_EQ(index.add("b"), 0);
  EXPECT_EQ(index.add("a", false), 1);
  EXPECT_EQ(index.add("a"), 2);
  EXPECT_EQ(index.add("b"), 3);
  EXPECT_EQ(index.find("b"), 0);
  EXPECT_EQ(index.find("a"), 2);
  EXPECT_EQ(index.find(""), -1);
  EXPECT_EQ(index[3], "b");
}

}  // namespace
}  // namespace bessemer
