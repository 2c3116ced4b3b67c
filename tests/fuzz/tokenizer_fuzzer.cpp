// Any text through every tokenizer family and pre-tokenizer, and any message as a vocabulary.
//
// Input: a byte that chooses, then a text; or, for the last choice, two bytes of length, a
// serialised Vocabulary and a text.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/check.h"
#include "router/text/detokenizer.h"
#include "router/text/pre_tokenizer.h"
#include "router/text/stop_matcher.h"
#include "router/text/tokenizer.h"
#include "router/text/unicode.h"

namespace bessemer {
namespace {

using TokenizerPtr = std::shared_ptr<const Tokenizer>;

void add(v1::Vocabulary& vocabulary, const std::string& spelling,
         v1::TokenType type = v1::TOKEN_NORMAL) {
  vocabulary.add_tokens(spelling);
  vocabulary.add_types(type);
  vocabulary.add_scores(-static_cast<float>(vocabulary.tokens_size() % 7));
}

TokenizerPtr create(const v1::Vocabulary& vocabulary) {
  auto tokenizer = Tokenizer::create(vocabulary);
  CHECK(tokenizer.ok());
  return *std::move(tokenizer);
}

TokenizerPtr make_bpe(std::string_view pre) {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("gpt2");
  vocabulary.set_pre(std::string(pre));
  for (int byte = 0; byte < 256; ++byte) {
    std::string letter;
    append_utf8(letter, byte_to_alphabet(static_cast<uint8_t>(byte)));
    add(vocabulary, letter);
  }
  for (const char* merge :
       {"a a", "aa aa", "Ġ a", "Ġ Ġ", "Ċ Ċ", "Ã ©", "a b", "ab a", "1 1", "! !"}) {
    std::string product = merge;
    vocabulary.add_merges(product);
    product.erase(product.find(' '), 1);
    add(vocabulary, product);
  }
  add(vocabulary, "<|a|>", v1::TOKEN_CONTROL);
  add(vocabulary, "aaa", v1::TOKEN_USER_DEFINED);
  return create(vocabulary);
}

TokenizerPtr make_spm() {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("llama");
  add(vocabulary, "<unk>", v1::TOKEN_UNKNOWN);
  add(vocabulary, "<s>", v1::TOKEN_CONTROL);
  add(vocabulary, "</s>", v1::TOKEN_CONTROL);
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    add(vocabulary, std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", v1::TOKEN_BYTE);
  }
  for (const char* token :
       {"▁", "▁▁", "a", "aa", "▁a", "b", "ab", "aab", "é", "▁é", "中", "<", "s", ">", "<s"})
    add(vocabulary, token);
  return create(vocabulary);
}

TokenizerPtr make_wordpiece() {
  v1::Vocabulary vocabulary;
  vocabulary.set_model("bert");
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"}) add(vocabulary, token, v1::TOKEN_CONTROL);
  for (const char* token : {"▁a", "a", "▁ab", "b", "▁!", "e", "▁中"}) add(vocabulary, token);
  return create(vocabulary);
}

std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Detokenizer detokenizer(tokenizer, false, true);
  StopMatcher matcher({std::string(64, '\xFF')}, false);
  std::string text;
  for (const int32_t id : ids) text += matcher.push(detokenizer.push(id)).text;
  text += matcher.push(detokenizer.flush()).text;
  return text + matcher.flush();
}

std::vector<int32_t> check(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  std::vector<int32_t> ids =
      tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
  for (const int32_t id : ids) CHECK(id >= 0 && id < tokenizer.vocab_size());
  CHECK(stream(tokenizer, ids) == replace_invalid_utf8(tokenizer.decode(ids, false)));
  return ids;
}

void fuzz_families(uint8_t choice, std::string_view text) {
  static const TokenizerPtr spm = make_spm(), wordpiece = make_wordpiece();
  check(choice % 2 == 0 ? *spm : *wordpiece, text, choice % 4 < 2);
}

void fuzz_bpe(uint8_t choice, std::string_view text) {
  static std::map<size_t, TokenizerPtr> made;
  const size_t which = choice % known_pre_tokenizers().size();
  TokenizerPtr& tokenizer = made[which];
  if (tokenizer == nullptr) tokenizer = make_bpe(known_pre_tokenizers()[which].name);
  for (const bool parse_special : {false, true}) {
    CHECK(tokenizer->decode(check(*tokenizer, text, parse_special), false) == text);
  }
}

void fuzz_vocabulary(std::string_view input) {
  if (input.size() < 2) return;
  const size_t length = static_cast<uint8_t>(input[0]) * 256U + static_cast<uint8_t>(input[1]);
  input.remove_prefix(2);
  v1::Vocabulary vocabulary;
  const std::string_view message = input.substr(0, length);
  if (!vocabulary.ParseFromArray(message.data(), static_cast<int>(message.size()))) return;
  const auto tokenizer = Tokenizer::create(vocabulary);
  if (!tokenizer.ok()) return;
  const std::string_view text = input.substr(message.size());
  check(**tokenizer, text, true);
  for (int32_t id = -1; id <= (*tokenizer)->vocab_size(); ++id) (*tokenizer)->piece(id, true);
}

}  // namespace
}  // namespace bessemer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr uint8_t kVocabulary = 0xFF, kFamilies = 0xF0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == kVocabulary) {
    bessemer::fuzz_vocabulary(text);
  } else if (data[0] >= kFamilies) {
    bessemer::fuzz_families(data[0], text);
  } else {
    bessemer::fuzz_bpe(data[0], text);
  }
  return 0;
}
