#include "router/text/detokenizer.h"

#include <gtest/gtest.h>

#include "tests/text/random_text.h"
#include "tests/text/vocabulary_files.h"

namespace bessemer {
namespace {

class EveryVocabulary : public testing::TestWithParam<const char*> {
 protected:
  std::string path() const {
    return test::shared_tokenizer_path(std::string(GetParam()) + ".gguf");
  }
};

// Ids of every kind: half characters, control tokens, ids that are none.
TEST_P(EveryVocabulary, StreamEqualsTheWholeText) {
  SKIP_WITHOUT(path());
  const auto tokenizer = test::load_tokenizer(path());
  test::Rng rng(21);
  for (int round = 0; round < 2000; ++round) {
    const bool skip_special = round % 2 == 0;
    std::vector<int32_t> ids(test::below(rng, 60));
    const size_t bound =
        static_cast<size_t>(round % 3 == 0 ? 260 : tokenizer->vocab_size() + 5);  // low ids: bytes
    for (int32_t& id : ids) id = static_cast<int32_t>(test::below(rng, bound));
    Detokenizer detokenizer(*tokenizer, skip_special, true);
    std::string text;
    for (const int32_t id : ids) {
      const std::string part = detokenizer.push(id);
      ASSERT_EQ(valid_utf8_prefix(part), part.size());
      text += part;
    }
    text += detokenizer.flush();
    ASSERT_EQ(text, replace_invalid_utf8(tokenizer->decode(ids, skip_special)));
  }
}

TEST_P(EveryVocabulary, BehindAPromptTheFirstSpaceStays) {
  SKIP_WITHOUT(path());
  const auto tokenizer = test::load_tokenizer(path());
  const std::vector<int32_t> ids = tokenizer->encode("a b", {.add_special = false});
  Detokenizer detokenizer(*tokenizer, true, false);
  std::string text;
  for (const int32_t id : ids) text += detokenizer.push(id);
  EXPECT_EQ(text, tokenizer->strips_leading_space() ? " a b" : "a b");
}

INSTANTIATE_TEST_SUITE_P(Shared, EveryVocabulary, testing::ValuesIn(test::kSharedSets),
                         test::set_name);

// A vocabulary of bytes: id = byte.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("gpt2");
  for (int byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(letter, byte_to_alphabet(static_cast<uint8_t>(byte)));
    vocabulary.add_tokens(letter);
  }
  vocabulary.add_merges("a b");
  return *Tokenizer::create(vocabulary);
}

TEST(Detokenizer, GivesACharacterWhenItIsWhole) {
  const auto tokenizer = byte_tokenizer();
  Detokenizer detokenizer(*tokenizer, true, true);
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0xA6), "");
  EXPECT_EQ(detokenizer.push(0x99), "🦙");
  EXPECT_EQ(detokenizer.flush(), "");
}

TEST(Detokenizer, BrokenCharactersBecomeOneReplacementEach) {
  const auto tokenizer = byte_tokenizer();
  Detokenizer detokenizer(*tokenizer, true, true);
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.push('a'), "\uFFFDa");
  EXPECT_EQ(detokenizer.push(0xFF), "\uFFFD");
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.push(0x96), "");
  EXPECT_EQ(detokenizer.flush(), "\uFFFD");
  EXPECT_EQ(detokenizer.flush(), "");
}

TEST(Detokenizer, RandomBytesEqualTheWholeText) {
  const auto tokenizer = byte_tokenizer();
  test::Rng rng(4);
  for (int round = 0; round < 3000; ++round) {
    const std::string bytes =
        round % 2 == 0 ? test::random_bytes(rng, 30) : test::random_unicode(rng, 12);
    Detokenizer detokenizer(*tokenizer, true, true);
    std::string text;
    for (const char byte : bytes) text += detokenizer.push(static_cast<uint8_t>(byte));
    ASSERT_EQ(text + detokenizer.flush(), replace_invalid_utf8(bytes));
  }
}

}  // namespace
}  // namespace bessemer
