#include "router/text/pre_tokenizer.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/text/random_text.h"

namespace bessemer {
namespace {

using Pieces = std::vector<std::string>;

PreTokenizer compile(std::string_view name) {
  const auto spec = find_pre_tokenizer(name);
  EXPECT_TRUE(spec.ok()) << spec.status();
  auto made = PreTokenizer::compile((*spec)->regexes);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

Pieces split(const PreTokenizer& splitter, std::string_view text) {
  Pieces pieces;
  splitter.split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

Pieces split(std::string_view name, std::string_view text) {
  return split(compile(name), text);
}

TEST(PreTokenizer, UnknownNamesAreRefusedWithTheKnownOnes) {
  const auto spec = find_pre_tokenizer("gpt-9");
  ASSERT_FALSE(spec.ok());
  const std::string message(spec.status().message());
  EXPECT_NE(message.find("\"gpt-9\""), std::string::npos);
  EXPECT_NE(message.find("smollm"), std::string::npos);
  EXPECT_NE(message.find("llama-bpe"), std::string::npos);
}

TEST(PreTokenizer, NoNameMeansDefault) {
  EXPECT_EQ((*find_pre_tokenizer(""))->name, "default");
}

TEST(PreTokenizer, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const PreTokenizerSpec& spec : known_pre_tokenizers())
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_EQ(split("gpt-2", "Hello world! I'm  here"),
            (Pieces{"Hello", " world", "!", " I", "'m", " ", " here"}));
  EXPECT_EQ(split("gpt-2", "we'Ve 123 x²\n\n y "),
            (Pieces{"we", "'", "Ve", " 123", " x", "²", "\n\n", " y", " "}));
  EXPECT_EQ(split("gpt-2",
                  "a\xC2\xA0\xC2\xA0"
                  "b"),
            (Pieces{"a", "\xC2\xA0", "\xC2\xA0", "b"}));
}

TEST(PreTokenizer, SmollmCutsEveryDigitFirst) {
  EXPECT_EQ(split("smollm", "in 2024, x  7"),
            (Pieces{"in", " ", "2", "0", "2", "4", ",", " x", "  ", "7"}));
}

// llama-bpe has vectors but no vocabulary: these are the borders that its ids show.
TEST(PreTokenizer, Llama3) {
  const PreTokenizer llama = compile("llama-bpe");
  EXPECT_EQ(split(llama, "Hello, y'all! How are you 😁 ?"),
            (Pieces{"Hello", ",", " y", "'all", "!", " How", " are", " you", " 😁", " ?"}));
  EXPECT_EQ(split(llama, "333333333 4444"), (Pieces{"333", "333", "333", " ", "444", "4"}));
  EXPECT_EQ(split(llama, "We'Ve a'lL 'M"), (Pieces{"We", "'Ve", " a", "'lL", " '", "M"}));
  EXPECT_EQ(split(llama, "\n\n\n  x\t\ty"), (Pieces{"\n\n\n", " ", " x", "\t", "\ty"}));
  EXPECT_EQ(split(llama, "a =\n\n b)\r\n"), (Pieces{"a", " =\n\n", " b", ")\r\n"}));
  EXPECT_EQ(split(llama, "(normal) ...end"), (Pieces{"(normal", ")", " ...", "end"}));
  EXPECT_EQ(split(llama, "нещо на Български"), (Pieces{"нещо", " на", " Български"}));
}

TEST(PreTokenizer, Qwen2TakesDigitsOneByOne) {
  EXPECT_EQ(split("qwen2", "v12 34"), (Pieces{"v", "1", "2", " ", "3", "4"}));
}

TEST(PreTokenizer, DeepseekV3KeepsMarksWithLettersAndASignWithAsciiLetters) {
  EXPECT_EQ(split("deepseek-v3", "x=foo 1234 e\u0301a 你好ab"),
            (Pieces{"x", "=foo", " ", "123", "4", " e\u0301a", " ", "你好", "ab"}));
}

TEST(PreTokenizer, Gpt4oCutsBetweenLowerAndUpperCase) {
  EXPECT_EQ(split("gpt-4o", "camelCase HTTPServer's a/b"),
            (Pieces{"camel", "Case", " HTTPServer's", " a", "/b"}));
  EXPECT_EQ(split("gpt-4o", "a?/\n/c"), (Pieces{"a", "?/\n/", "c"}));
}

TEST(PreTokenizer, UnicodeSpacesAreTheWhiteSpaceProperty) {
  EXPECT_EQ(split("llama-bpe", "\u2003\u3000a"), (Pieces{"\u2003", "\u3000a"}));
  EXPECT_EQ(split("gpt-2", "\u2003\u2003a"), (Pieces{"\u2003", "\u2003", "a"}));
  EXPECT_EQ(split("gpt-2", "\u180e\u180ea"),
            (Pieces{"\u180e\u180e", "a"}));  // a format character since Unicode 6.3
}

TEST(PreTokenizer, InvalidBytesStandAlone) {
  EXPECT_EQ(split("gpt-2",
                  "ab\xFF\xFE"
                  "cd \xE2\x96"),
            (Pieces{"ab", "\xFF\xFE", "cd", " ", "\xE2\x96"}));
}

class EveryPreTokenizer : public testing::TestWithParam<size_t> {
 protected:
  const PreTokenizerSpec& spec() const { return known_pre_tokenizers()[GetParam()]; }
};

TEST_P(EveryPreTokenizer, PiecesAddUpToTheText) {
  const PreTokenizer splitter = compile(spec().name);
  test::Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    const std::string text = i % 3 == 0   ? test::random_bytes(rng, 60)
                             : i % 3 == 1 ? test::random_unicode(rng, 40)
                                          : test::random_string_of(rng, " \t\n\r'aBs19.,(=/$", 60);
    std::string sum;
    splitter.split(text, [&](std::string_view piece) {
      EXPECT_FALSE(piece.empty());
      sum += piece;
    });
    ASSERT_EQ(sum, text) << spec().name;
  }
}

// A run of a million equal characters must not take squared time: each of these would be minutes.
TEST_P(EveryPreTokenizer, LongRunsTakeLinearTime) {
  const PreTokenizer splitter = compile(spec().name);
  for (const std::string_view unit : {" ", "\n", "a", "1", "!", "中", " a", "'"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    text += "x";
    size_t bytes = 0;
    splitter.split(text, [&](std::string_view piece) { bytes += piece.size(); });
    ASSERT_EQ(bytes, text.size()) << spec().name << " " << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Known, EveryPreTokenizer,
                         testing::Range(size_t{0}, known_pre_tokenizers().size()),
                         [](const auto& index) {
                           std::string name(known_pre_tokenizers()[index.param].name);
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace bessemer
