#include <cstring>

#include <gtest/gtest.h>

#include "router/text/spm_normalizer.h"
#include "router/text/tokenizer.h"
#include "tests/text/random_text.h"
#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

using Ids = std::vector<int32_t>;

struct Token {
  std::string spelling;
  float score;
  v1::TokenType type = v1::TOKEN_NORMAL;
};

// <unk> 0, <s> 1, </s> 2, then `tokens` from 3.
v1::Vocabulary vocabulary_of(const std::vector<Token>& tokens) {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("llama");
  std::vector<Token> all{{"<unk>", 0, v1::TOKEN_UNKNOWN},
                         {"<s>", 0, v1::TOKEN_CONTROL},
                         {"</s>", 0, v1::TOKEN_CONTROL}};
  all.insert(all.end(), tokens.begin(), tokens.end());
  for (const Token& token : all) {
    vocabulary.add_tokens(token.spelling);
    vocabulary.add_scores(token.score);
    vocabulary.add_types(token.type);
  }
  return vocabulary;
}

std::shared_ptr<const Tokenizer> create(const v1::Vocabulary& vocabulary) {
  auto tokenizer = Tokenizer::create(vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

Ids plain(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special = false});
}

const std::vector<Token> kLetters{{"▁", -1},  {"a", -2},     {"b", -3},  {"c", -4},
                                  {"ab", -5}, {"bc", -4.5F}, {"▁a", -6}, {"abc", -7}};

TEST(SpmTokenizer, MergesTheBestScoreFirst) {
  const auto tokenizer = create(vocabulary_of(kLetters));
  EXPECT_EQ(plain(*tokenizer, "abc"), (Ids{9, 8}));  // bc before ab, and no token joins ▁a and bc
  EXPECT_EQ(plain(*tokenizer, "ab"), (Ids{3, 7}));
  EXPECT_EQ(plain(*tokenizer, "a a"), (Ids{9, 9}));
}

TEST(SpmTokenizer, PutsASpaceInFrontOfTheTextAndBehindSpecialTokens) {
  v1::Vocabulary vocabulary = vocabulary_of(kLetters);
  EXPECT_EQ(create(vocabulary)->encode("a<s>a", {}), (Ids{1, 9, 1, 9}));
  vocabulary.set_add_space_prefix(false);
  EXPECT_EQ(create(vocabulary)->encode("a<s>a", {}), (Ids{1, 4, 1, 4}));
  EXPECT_FALSE(create(vocabulary)->strips_leading_space());
}

TEST(SpmTokenizer, OldFilesHaveLlamasIds) {
  const auto tokenizer = create(vocabulary_of(kLetters));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->encode("", {}), (Ids{1}));
}

TEST(SpmTokenizer, UnknownCharactersAreBytesOrTheUnknownToken) {
  std::vector<Token> tokens = kLetters;
  EXPECT_EQ(plain(*create(vocabulary_of(tokens)), "aéa"), (Ids{9, 0, 4}));
  tokens.push_back({"<0xC3>", 0, v1::TOKEN_BYTE});
  EXPECT_EQ(plain(*create(vocabulary_of(tokens)), "aéa"),
            (Ids{9, 0, 4}));  // half a character is none
  tokens.push_back({"<0xA9>", 0, v1::TOKEN_BYTE});
  const auto tokenizer = create(vocabulary_of(tokens));
  EXPECT_EQ(plain(*tokenizer, "aéa"), (Ids{9, 11, 12, 4}));
  EXPECT_EQ(plain(*tokenizer,
                  "a\xC3"
                  "a"),
            (Ids{9, 11, 4}));
  EXPECT_EQ(tokenizer->decode(Ids{9, 11, 12, 4}, true), "aéa");
}

// Control and byte tokens come of their ids only.
TEST(SpmTokenizer, TypedOutSpellingsAreText) {
  std::vector<Token> tokens = kLetters;
  for (const char* letter : {"<", "s", ">", "<s", "0", "x", "4", "1", "<0", "x4", "1>", "x41>"})
    tokens.push_back({letter, -1});
  tokens.push_back({"<0x41>", 0, v1::TOKEN_BYTE});
  const auto tokenizer = create(vocabulary_of(tokens));
  EXPECT_EQ(tokenizer->encode("<s>", {.add_special = false, .parse_special = false}),
            (Ids{3, 14, 13}));
  EXPECT_EQ(plain(*tokenizer, "<0x41>"), (Ids{3, 19, 22}));
}

TEST(SpmTokenizer, DecodeDropsTheOneSpaceThatEncodeAdded) {
  const auto tokenizer = create(vocabulary_of(kLetters));
  for (const std::string text : {"a", " a", "  a", "a b", " ", "abc  abc"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {}), true), text);
  }
  EXPECT_EQ(tokenizer->decode(Ids{1, 9}, false), "<s> a");
}

TEST(SpmTokenizer, LeastTokensIsALowerBoundOrNothing) {
  v1::Vocabulary vocabulary = vocabulary_of({{"▁", -1}, {"a", -2}, {"aaaaaaaa", -3}});
  const std::string text(8000, 'a');
  EXPECT_EQ(create(vocabulary)->least_tokens(text), 1000u);
  for (const std::string& any : {std::string("é\xff ☃"), std::string(100, ' '), text}) {
    EXPECT_LE(create(vocabulary)->least_tokens(any), plain(*create(vocabulary), any).size());
  }
  vocabulary.set_remove_extra_whitespaces(true);
  EXPECT_EQ(create(vocabulary)->least_tokens(text), 0u);
}

TEST(SpmTokenizer, NeedsScores) {
  v1::Vocabulary vocabulary = vocabulary_of(kLetters);
  vocabulary.clear_scores();
  const auto tokenizer = Tokenizer::create(vocabulary);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_NE(std::string(tokenizer.status().message()).find("tokenizer.ggml.scores"),
            std::string::npos);
}

// The definition: the best pair of the whole text, again and again, in squared time.
Ids naive_spm(const v1::Vocabulary& vocabulary, const std::string& normal) {
  const auto find = [&](const std::string& text) {
    for (int id = 3; id < vocabulary.tokens_size(); ++id) {
      if (vocabulary.tokens(id) == text) return id;
    }
    return -1;
  };
  std::vector<std::string> symbols;
  for (size_t at = 0; at < normal.size(); at += symbols.back().size())
    symbols.push_back(normal.substr(at, decode_utf8(normal, at).length));
  while (true) {
    int best_id = -1;
    size_t best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const int id = find(symbols[i] + symbols[i + 1]);
      if (id >= 0 && (best_id < 0 || vocabulary.scores(id) > vocabulary.scores(best_id)))
        best_id = id, best = i;
    }
    if (best_id < 0) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best + 1));
  }
  Ids ids;
  for (const std::string& symbol : symbols) ids.push_back(std::max(find(symbol), 0));
  return ids;
}

// With and without a token that crosses words, scores with many ties.
TEST(SpmTokenizer, EqualsTheDefinition) {
  test::Rng rng(5);
  for (int round = 0; round < 40; ++round) {
    std::vector<Token> tokens{{"▁", -1}, {"a", -1}, {"b", -1}};
    std::vector<std::string> symbols{"▁", "a", "b"};
    for (int i = 0; i < 25; ++i) {
      const std::string token =
          symbols[test::below(rng, symbols.size())] + symbols[test::below(rng, symbols.size())];
      const bool crosses = token.find("▁", token.find_first_of("ab")) != std::string::npos;
      if (std::find(symbols.begin(), symbols.end(), token) != symbols.end() ||
          (round % 2 == 0 && crosses))
        continue;
      symbols.push_back(token);
      tokens.push_back({token, -static_cast<float>(test::below(rng, 6))});
    }
    const v1::Vocabulary vocabulary = vocabulary_of(tokens);
    const auto tokenizer = create(vocabulary);
    for (const size_t most : {6, 40, 200}) {
      const std::string text = test::random_string_of(rng, "aab ", most);
      if (text.empty()) continue;
      std::string normal = "▁";
      for (const char c : text) normal += c == ' ' ? "▁" : std::string(1, c);
      ASSERT_EQ(plain(*tokenizer, text), naive_spm(vocabulary, normal)) << text;
    }
  }
}

TEST(SpmTokenizer, Phi3SwallowsSpaceBehindItsMarks) {
  const std::string path = test::shared_tokenizer_path("phi-3.gguf");
  SKIP_WITHOUT(path);
  const auto phi3 = test::load_tokenizer(path);
  EXPECT_EQ(plain(*phi3, "<|user|>\n hi<|end|>\n"), (Ids{32010, 7251, 32007}));
  EXPECT_EQ(plain(*phi3, "<|endoftext|>\nhi"), (Ids{32000, 29871, 13, 2918}));
}

TEST(SpmTokenizer, RoundTrip) {
  const std::string path = test::shared_tokenizer_path("llama-spm.gguf");
  SKIP_WITHOUT(path);
  const auto llama = test::load_tokenizer(path);
  test::Rng rng(9);
  for (int i = 0; i < 4000; ++i) {
    const std::string text =
        i % 2 == 0 ? test::random_bytes(rng, 60) : test::random_unicode(rng, 40);
    if (text.find("▁") != std::string::npos) continue;  // cannot be told from a space
    ASSERT_EQ(llama->decode(llama->encode(text, {}), true), text);
  }
}

// A double array with the keys "A" -> "a" and "\xC3\x84" -> "ae", packed by hand: the root's
// children lie at base ^ byte.
std::string small_charsmap() {
  constexpr uint32_t kLeaf = 1U << 8;
  const auto offset_bits = [](uint32_t offset) { return offset << 10; };
  std::vector<uint32_t> units(1024, 0x80000000);  // a label that no byte has
  units[0] = offset_bits(256);
  const uint32_t a = 256 ^ 'A';
  units[a] = 'A' | kLeaf | offset_bits(a ^ 600);
  units[600] = 0x80000000 | 0;
  const uint32_t c3 = 256 ^ 0xC3;
  units[c3] = 0xC3 | offset_bits(c3 ^ 700);
  const uint32_t e84 = 700 ^ 0x84;
  units[e84] = 0x84 | kLeaf | offset_bits(e84 ^ 900);
  units[900] = 0x80000000 | 2;
  const auto bytes = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  std::string map(sizeof bytes + bytes, '\0');
  std::memcpy(map.data(), &bytes, sizeof bytes);
  std::memcpy(map.data() + sizeof bytes, units.data(), bytes);
  return map + std::string("a\0ae\0", 5);
}

TEST(SpmNormalizer, AppliesTheCharacterMap) {
  const auto normalizer = SpmNormalizer::create(small_charsmap(), {.space_prefix = false});
  ASSERT_TRUE(normalizer.ok()) << normalizer.status();
  EXPECT_EQ(normalizer->normalize("AbÄ A"), "abae▁a");
  EXPECT_EQ(normalizer->normalize("\xC3"), kReplacementUtf8);
}

TEST(SpmNormalizer, RefusesWhatIsNoMap) {
  const std::string map = small_charsmap();
  for (const std::string& bad :
       {map.substr(0, 3), map.substr(0, 100), map.substr(0, map.size() - 1), "\1" + map}) {
    const auto normalizer = SpmNormalizer::create(bad, {});
    EXPECT_EQ(normalizer.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(SpmNormalizer, SurvivesAnyTrie) {
  test::Rng rng(2);
  for (int i = 0; i < 300; ++i) {
    std::string map = small_charsmap();
    for (int j = 0; j < 200; ++j)
      map[4 + test::below(rng, map.size() - 5)] = static_cast<char>(test::below(rng, 256));
    const auto normalizer = SpmNormalizer::create(map, {});
    ASSERT_TRUE(normalizer.ok());
    normalizer->normalize(test::random_bytes(rng, 200));
  }
}

TEST(SpmNormalizer, RemovesExtraSpaces) {
  const auto normalizer =
      SpmNormalizer::create("", {.space_prefix = true, .remove_extra_whitespaces = true});
  EXPECT_EQ(normalizer->normalize("  a   b "), "▁a▁b");
  EXPECT_EQ(normalizer->normalize("   "), "");
}

}  // namespace
}  // namespace bessemer
