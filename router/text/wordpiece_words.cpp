#include <algorithm>
#include <array>
#include <span>

#include <utf8proc.h>

#include "router/text/unicode.h"
#include "router/text/wordpiece_tokenizer.h"

namespace bessemer {
namespace {

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

bool is_space(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return true;
  const utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool is_dropped(char32_t code) {
  if (code == kReplacementCharacter) return true;
  const utf8proc_category_t c = category(code);
  return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CO;
}

// BERT counts all of ASCII's signs, also those that Unicode calls symbols.
bool is_punctuation(char32_t code) {
  if (code < 0x80) return code > ' ' && code < 0x7F && !std::isalnum(static_cast<int>(code));
  const utf8proc_category_t c = category(code);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

// The CJK Unified Ideographs blocks that BERT lists. Extension E begins at U+2B820; the common
// implementations have U+2B920.
bool is_chinese(char32_t code) {
  constexpr std::array<std::pair<char32_t, char32_t>, 8> kBlocks{{{0x4E00, 0x9FFF},
                                                                  {0x3400, 0x4DBF},
                                                                  {0x20000, 0x2A6DF},
                                                                  {0x2A700, 0x2B73F},
                                                                  {0x2B740, 0x2B81F},
                                                                  {0x2B920, 0x2CEAF},
                                                                  {0xF900, 0xFAFF},
                                                                  {0x2F800, 0x2FA1F}}};
  return std::any_of(kBlocks.begin(), kBlocks.end(), [code](const auto& block) {
    return code >= block.first && code <= block.second;
  });
}

// Unicode's longest canonical decomposition has 4 codes; a Hangul syllable has 3.
constexpr size_t kMaxDecomposition = 8;

// Canonical decomposition of one character. The order of marks does not matter here, since they are
// dropped.
std::span<utf8proc_int32_t> decompose(char32_t code,
                                      std::array<utf8proc_int32_t, kMaxDecomposition>& buffer) {
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), buffer.data(),
                                             static_cast<utf8proc_ssize_t>(buffer.size()),
                                             UTF8PROC_DECOMPOSE, &boundary);
  if (count < 1 || count > static_cast<utf8proc_ssize_t>(buffer.size())) {
    buffer[0] = static_cast<utf8proc_int32_t>(code);
    return std::span(buffer).first(1);
  }
  return std::span(buffer).first(static_cast<size_t>(count));
}

class WordSplitter {
 public:
  void add(char32_t code) {
    const bool alone = is_chinese(code);
    if (alone) end_word();
    std::array<utf8proc_int32_t, kMaxDecomposition> buffer;
    for (const utf8proc_int32_t part : decompose(code, buffer)) {
      if (category(static_cast<char32_t>(part)) == UTF8PROC_CATEGORY_MN) continue;
      add_letter(static_cast<char32_t>(utf8proc_tolower(part)));
    }
    if (alone) end_word();
  }
  void end_word() {
    if (!word_.empty()) words_.push_back(std::move(word_));
    word_.clear();
  }
  std::vector<std::string> finish() {
    end_word();
    return std::move(words_);
  }

 private:
  void add_letter(char32_t code) {
    const bool alone = is_punctuation(code);
    if (alone) end_word();
    append_utf8(word_, code);
    if (alone) end_word();
  }

  std::string word_;
  std::vector<std::string> words_;
};

}  // namespace

std::vector<std::string> split_bert_words(std::string_view text) {
  WordSplitter splitter;
  for (size_t at = 0; at < text.size();) {
    const DecodedCharacter character = decode_utf8(text, at);
    at += character.length;
    if (is_space(character.code)) {
      splitter.end_word();
    } else if (!is_dropped(character.code)) {
      splitter.add(character.code);
    }
  }
  return splitter.finish();
}

}  // namespace bessemer
