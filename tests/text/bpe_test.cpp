#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "router/text/tokenizer.h"
#include "tests/support/models.h"
#include "tests/text/random_text.h"
#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

using Ids = std::vector<int32_t>;

int32_t add_token(v1::Vocabulary& vocabulary, const std::string& spelling,
                  v1::TokenType type = v1::TOKEN_NORMAL) {
  vocabulary.add_tokens(spelling);
  vocabulary.add_types(type);
  return vocabulary.tokens_size() - 1;
}

// All 256 bytes as tokens 0..255 and the given merges, whose products are tokens.
v1::Vocabulary byte_vocabulary(const std::vector<std::pair<std::string, std::string>>& merges) {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("gpt2");
  vocabulary.set_pre("gpt-2");
  for (int byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(letter, byte_to_alphabet(static_cast<uint8_t>(byte)));
    add_token(vocabulary, letter);
  }
  for (const auto& [left, right] : merges) {
    vocabulary.add_merges(left + " " + right);
    add_token(vocabulary, left + right);
  }
  return vocabulary;
}

std::shared_ptr<const Tokenizer> create(const v1::Vocabulary& vocabulary) {
  auto tokenizer = Tokenizer::create(vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

std::string create_error(const v1::Vocabulary& vocabulary) {
  const auto tokenizer = Tokenizer::create(vocabulary);
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(tokenizer.status().message());
}

TEST(BpeTokenizer, MergesByRankNotFromLeftToRight) {
  const auto tokenizer =
      create(byte_vocabulary({{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"bc", "d"}}));
  EXPECT_EQ(tokenizer->encode("abc", {}), (Ids{258}));
  EXPECT_EQ(tokenizer->encode("abcd", {}), (Ids{258, 'd'}));
  EXPECT_EQ(tokenizer->encode("ab", {}), (Ids{257}));
  EXPECT_EQ(tokenizer->encode("bcd", {}), (Ids{259}));
}

// A token that the merges do not lead to is not used, unless the pre-tokenizer says that pieces are
// looked up first.
TEST(BpeTokenizer, WholePieceCountsOnlyWhereMergesAreIgnored) {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "b"}});
  const int32_t unreachable = add_token(vocabulary, "abc");
  EXPECT_EQ(create(vocabulary)->encode("abc", {}), (Ids{256, 'c'}));
  vocabulary.set_pre("llama-bpe");
  EXPECT_EQ(create(vocabulary)->encode("abc", {}), (Ids{unreachable}));
}

TEST(BpeTokenizer, MergeWhoseProductIsNoTokenMayLeadToOne) {
  v1::Vocabulary vocabulary = byte_vocabulary({});
  vocabulary.add_merges("a b");
  vocabulary.add_merges("ab c");
  const int32_t abc = add_token(vocabulary, "abc");
  EXPECT_EQ(create(vocabulary)->encode("abc", {}), (Ids{abc}));
  EXPECT_EQ(create(vocabulary)->encode("ab", {}), (Ids{'a', 'b'}));
}

// The definition of byte pair encoding, on strings, in squared time.
Ids naive_bpe(const std::map<std::pair<std::string, std::string>, int>& ranks,
              const std::map<std::string, int32_t>& tokens, const std::string& piece) {
  std::vector<std::string> symbols;
  for (const char byte : piece) symbols.emplace_back(1, byte);
  while (true) {
    int best_rank = -1;
    size_t best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto rank = ranks.find({symbols[i], symbols[i + 1]});
      if (rank != ranks.end() && (best_rank < 0 || rank->second < best_rank))
        best_rank = rank->second, best = i;
    }
    if (best_rank < 0) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best + 1));
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(tokens.at(symbol));
  return ids;
}

TEST(BpeTokenizer, EqualsTheDefinitionOnShortAndLongPieces) {
  test::Rng rng(11);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> symbols{"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    std::map<std::pair<std::string, std::string>, int> ranks;
    std::map<std::string, int32_t> tokens{{"a", 'a'}, {"b", 'b'}, {"c", 'c'}};
    while (merges.size() < 30) {
      const std::string left = symbols[test::below(rng, symbols.size())],
                        right = symbols[test::below(rng, symbols.size())];
      if (tokens.contains(left + right)) continue;
      ranks[{left, right}] = static_cast<int>(merges.size());
      tokens[left + right] = 256 + static_cast<int32_t>(merges.size());
      merges.emplace_back(left, right);
      symbols.push_back(left + right);
    }
    const auto tokenizer = create(byte_vocabulary(merges));
    for (const size_t most : {8, 63, 66, 400}) {
      const std::string piece = test::random_string_of(rng, "abc", most);
      ASSERT_EQ(tokenizer->encode(piece, {}), naive_bpe(ranks, tokens, piece)) << piece;
    }
  }
}

TEST(BpeTokenizer, LongPieceTakesNoSquaredTime) {
  const auto tokenizer = create(byte_vocabulary({{"a", "a"}, {"aa", "aa"}}));
  EXPECT_EQ(tokenizer->encode(std::string(2'000'000, 'a'), {}).size(), 500'000U);
}

v1::Vocabulary with_specials() {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "b"}});
  add_token(vocabulary, "<|x|>", v1::TOKEN_CONTROL);       // 257
  add_token(vocabulary, "<|x|><|y|>", v1::TOKEN_CONTROL);  // 258
  add_token(vocabulary, "[ü]", v1::TOKEN_USER_DEFINED);    // 259
  return vocabulary;
}

TEST(BpeTokenizer, CutsOutSpecialTokensLongestFirst) {
  const auto tokenizer = create(with_specials());
  EXPECT_EQ(tokenizer->encode("a<|x|>b", {}), (Ids{'a', 257, 'b'}));
  EXPECT_EQ(tokenizer->encode("<|x|><|y|><|x|>", {}), (Ids{258, 257}));
  EXPECT_EQ(tokenizer->encode("<|x|<|x|>", {}), (Ids{'<', '|', 'x', '|', 257}));
  EXPECT_EQ(tokenizer->encode("ab[ü]ab", {}), (Ids{256, 259, 256}));
}

TEST(BpeTokenizer, WithoutParseSpecialControlTokensAreText) {
  const auto tokenizer = create(with_specials());
  EXPECT_EQ(tokenizer->encode("<|x|>", {.parse_special = false}), (Ids{'<', '|', 'x', '|', '>'}));
  EXPECT_EQ(tokenizer->encode("[ü]", {.parse_special = false}), (Ids{259}));
}

// Even a control token whose spelling the merges could make.
TEST(BpeTokenizer, PlainTextNeverBecomesAControlToken) {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "b"}});
  vocabulary.set_types(256, v1::TOKEN_CONTROL);
  EXPECT_EQ(create(vocabulary)->encode("ab", {.parse_special = false}), (Ids{'a', 'b'}));
  EXPECT_EQ(create(vocabulary)->encode("ab", {.parse_special = true}), (Ids{256}));
}

TEST(BpeTokenizer, PiecesOfSpecialTokens) {
  const auto tokenizer = create(with_specials());
  EXPECT_TRUE(tokenizer->is_control(257));
  EXPECT_FALSE(tokenizer->is_control(259));
  EXPECT_EQ(tokenizer->piece(257, true), "<|x|>");
  EXPECT_EQ(tokenizer->piece(257, false), "");
  EXPECT_EQ(tokenizer->piece(259, false), "[ü]");
  EXPECT_EQ(tokenizer->decode(Ids{'a', 257, 259}, true), "a[ü]");
  EXPECT_EQ(tokenizer->decode(Ids{'a', 257, 259}, false), "a<|x|>[ü]");
  EXPECT_EQ(tokenizer->find("<|x|>"), 257);
  EXPECT_EQ(tokenizer->find("<|z|>"), -1);
}

TEST(BpeTokenizer, IdsOutsideTheVocabularyHaveNoText) {
  const auto tokenizer = create(with_specials());
  EXPECT_EQ(tokenizer->piece(-1, true), "");
  EXPECT_EQ(tokenizer->piece(tokenizer->vocab_size(), true), "");
  EXPECT_FALSE(tokenizer->is_control(-1));
  EXPECT_FALSE(tokenizer->is_control(1'000'000));
}

TEST(BpeTokenizer, AddsWhatTheVocabularyAsksFor) {
  v1::Vocabulary vocabulary = with_specials();
  vocabulary.set_bos_id(257);
  vocabulary.set_eos_id(258);
  EXPECT_EQ(create(vocabulary)->encode("a", {}), (Ids{'a'}));  // gpt-2 has no default
  vocabulary.set_add_bos(true);
  vocabulary.set_add_eos(true);
  EXPECT_EQ(create(vocabulary)->encode("a", {}), (Ids{257, 'a', 258}));
  EXPECT_EQ(create(vocabulary)->encode("", {}), (Ids{257, 258}));
  EXPECT_EQ(create(vocabulary)->encode("a", {.add_special = false}), (Ids{'a'}));
  vocabulary.set_pre("llama-bpe");
  vocabulary.clear_add_bos();
  vocabulary.clear_add_eos();
  EXPECT_EQ(create(vocabulary)->encode("a", {}), (Ids{257, 'a'}));
  vocabulary.set_add_bos(false);
  EXPECT_EQ(create(vocabulary)->encode("a", {}), (Ids{'a'}));
}

TEST(BpeTokenizer, BytesWithoutATokenAreLeftOut) {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "b"}});
  vocabulary.set_tokens(4, "gone");
  EXPECT_EQ(create(vocabulary)
                ->encode("a\x04"
                         "ab",
                         {}),
            (Ids{'a', 256}));
}

TEST(BpeTokenizer, LeastTokensIsALowerBound) {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "a"}, {"aa", "aa"}});
  const auto tokenizer = create(vocabulary);
  EXPECT_EQ(tokenizer->least_tokens(""), 0u);
  EXPECT_EQ(tokenizer->least_tokens(std::string(4000, 'a')), 1000u);  // met
  EXPECT_EQ(tokenizer->least_tokens(std::string(4001, 'a')), 1001u);
  EXPECT_LE(tokenizer->least_tokens("abcab"), tokenizer->encode("abcab", {}).size());
  add_token(vocabulary, "<|a long control token|>", v1::TOKEN_CONTROL);
  EXPECT_EQ(create(vocabulary)->least_tokens(std::string(24, 'a')), 1u);
  vocabulary.set_tokens('a', "nothing");  // no token for the byte: it vanishes
  EXPECT_EQ(create(vocabulary)->least_tokens(std::string(4000, 'a')), 0u);
}

TEST(BpeTokenizer, RefusesWhatIsInconsistent) {
  v1::Vocabulary vocabulary = byte_vocabulary({{"a", "b"}});
  vocabulary.set_pre("gpt-9");
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.pre"), std::string::npos);
  vocabulary = byte_vocabulary({});
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.merges"), std::string::npos);
  vocabulary.add_merges("ab");
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.merges[0]"), std::string::npos);
  vocabulary = byte_vocabulary({{"a", "b"}});
  vocabulary.set_bos_id(257);
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.bos_token_id is 257"), std::string::npos);
  vocabulary.clear_bos_id();
  vocabulary.set_add_bos(true);
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.add_bos_token"), std::string::npos);
  vocabulary.clear_add_bos();
  vocabulary.add_types(v1::TOKEN_NORMAL);
  EXPECT_NE(create_error(vocabulary).find("tokenizer.ggml.token_type"), std::string::npos);
  EXPECT_NE(create_error({}).find("tokenizer.ggml.model"), std::string::npos);
}

// One tokenizer serves all threads of a router; the first texts are those that find out which
// tokens are whole.
TEST(BpeTokenizer, ThreadsShareOne) {
  const v1::Vocabulary vocabulary =
      byte_vocabulary({{"a", "b"}, {"ab", "ab"}, {"b", "c"}, {"abab", "c"}});
  test::Rng rng(1);
  const std::string text = test::random_string_of(rng, "abc ", 4000);
  const Ids expected = create(vocabulary)->encode(text, {});
  const auto shared = create(vocabulary);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& ids : results) threads.emplace_back([&] { ids = shared->encode(text, {}); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : results) EXPECT_EQ(ids, expected);
}

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, Gpt2DecodesWhatItEncoded) {
  const std::string path = test::shared_tokenizer_path(GetParam());
  SKIP_WITHOUT(path);
  const auto tokenizer = test::load_tokenizer(path);
  test::Rng rng(3);
  for (int i = 0; i < 4000; ++i) {
    std::string text = test::random_unicode(rng, 40);
    // deepseek-coder has no tokens for bytes that UTF-8 never uses.
    if (i % 2 == 0 && GetParam() == "gpt-2.gguf") text = test::random_bytes(rng, 60);
    ASSERT_EQ(
        tokenizer->decode(
            tokenizer->encode(text, {.add_special = false, .parse_special = i % 4 < 2}), false),
        text);
  }
}

INSTANTIATE_TEST_SUITE_P(Shared, RoundTrip, testing::Values("gpt-2.gguf", "deepseek-coder.gguf"),
                         [](const auto& file) {
                           return file.index == 0 ? "gpt2" : "deepseekcoder";
                         });

TEST(DefaultModel, TokenizesChatMl) {
  const std::string path = test::default_model_path();
  SKIP_WITHOUT(path);
  const auto tokenizer = test::load_tokenizer(path);
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->encode("Hello world 123 <|im_end|>", {}),
            (Ids{19556, 905, 216, 33, 34, 35, 216, 2}));
  EXPECT_EQ(tokenizer->encode("<|im_end|>", {.parse_special = false}).size(), 7U);
}

}  // namespace
}  // namespace bessemer
