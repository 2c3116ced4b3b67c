#include <gtest/gtest.h>

#include "router/text/wordpiece_tokenizer.h"
#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

using Ids = std::vector<int32_t>;
using Words = std::vector<std::string>;

TEST(SplitBertWords, LowerCaseWithoutAccents) {
  EXPECT_EQ(split_bert_words("Führer Ägypten ÉCOLE Cửa Việt"),
            (Words{"fuhrer", "agypten", "ecole", "cua", "viet"}));
  EXPECT_EQ(split_bert_words("İstanbul e\u0301"), (Words{"istanbul", "e"}));
}

TEST(SplitBertWords, PunctuationAndChineseStandAlone) {
  EXPECT_EQ(split_bert_words("a,b'c$`~。我想ab"),
            (Words{"a", ",", "b", "'", "c", "$", "`", "~", "。", "我", "想", "ab"}));
  EXPECT_EQ(split_bert_words("한국 カタ"),
            (Words{"\u1112\u1161\u11ab\u1100\u116e\u11a8", "カタ"}));  // Hangul falls into jamo
}

TEST(SplitBertWords, SpacesSplitAndControlCharactersVanish) {
  EXPECT_EQ(split_bert_words(" a\tb\r\nc\u00a0d\u2003e\u2028f "),
            (Words{"a", "b", "c", "d", "e", "f"}));
  EXPECT_EQ(split_bert_words(std::string_view("a\0b\x7F\v\u200b\uFFFD\xFF"
                                              "c",
                                              13)),
            (Words{"abc"}));
  EXPECT_TRUE(split_bert_words(" \n").empty());
}

// [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, then `pieces` from 4.
v1::Vocabulary vocabulary_of(const std::vector<std::string>& pieces) {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("bert");
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
    vocabulary.add_tokens(special);
    vocabulary.add_types(v1::TOKEN_CONTROL);
  }
  for (const std::string& piece : pieces) {
    vocabulary.add_tokens(piece);
    vocabulary.add_types(v1::TOKEN_NORMAL);
  }
  return vocabulary;
}

std::shared_ptr<const Tokenizer> create(const v1::Vocabulary& vocabulary) {
  auto tokenizer = Tokenizer::create(vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

class Spellings : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(Spellings, LongestPieceFirst) {
  const auto tokenizer = create(vocabulary_of(GetParam()));
  EXPECT_EQ(tokenizer->encode("Embeddings ing", {}), (Ids{2, 5, 7, 1, 3}));
  EXPECT_EQ(tokenizer->encode("em embed", {.add_special = false}), (Ids{4, 5}));
  EXPECT_EQ(tokenizer->decode(Ids{2, 5, 7, 4, 3}, true), "embeddings em");
}

INSTANTIATE_TEST_SUITE_P(
    Both, Spellings,
    testing::Values(std::vector<std::string>{"▁em", "▁embed", "ding", "dings"},
                    std::vector<std::string>{"em", "embed", "##ding", "##dings"}),
    [](const auto& style) { return style.index == 0 ? "WordMark" : "InnerMark"; });

TEST(WordpieceTokenizer, AMarkInsideOfAWordBeginsNone) {
  const auto tokenizer = create(vocabulary_of({"▁a", "b"}));
  EXPECT_EQ(tokenizer->encode("ab", {.add_special = false}), (Ids{4, 5}));
  EXPECT_EQ(tokenizer->encode("a▁a", {.add_special = false}), (Ids{1}));
}

TEST(WordpieceTokenizer, WordsOverTheLimitAreUnknown) {
  const auto tokenizer = create(vocabulary_of({"▁a", "a"}));
  EXPECT_EQ(tokenizer->encode(std::string(100, 'a'), {.add_special = false}).size(), 100U);
  EXPECT_EQ(tokenizer->encode(std::string(101, 'a'), {.add_special = false}), (Ids{1}));
}

TEST(WordpieceTokenizer, SpecialTokensInTheText) {
  const auto tokenizer = create(vocabulary_of({"▁a"}));
  EXPECT_EQ(tokenizer->encode("a[SEP]a", {}), (Ids{2, 4, 3, 4, 3}));
  EXPECT_EQ(tokenizer->encode("[SEP]", {.add_special = false, .parse_special = false}),
            (Ids{1, 1, 1}));
}

TEST(WordpieceTokenizer, NeedsItsSpecialTokens) {
  v1::Vocabulary vocabulary = vocabulary_of({"▁a"});
  vocabulary.set_tokens(1, "[gone]");
  const auto tokenizer = Tokenizer::create(vocabulary);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(std::string(tokenizer.status().message()).find("tokenizer.ggml.unknown_token_id"),
            std::string::npos);
}

}  // namespace
}  // namespace bessemer
