// WordPiece, GGUF's tokenizer model "bert": words are split from the left into the longest pieces
// there are.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/text/tokenizer_base.h"

namespace bessemer {

// Uncased, as BERT's own code normalises (Devlin et al. 2019, tokenization.py): lower case, no
// accents, Chinese characters and punctuation stand alone. What is not UTF-8 is dropped with the
// control characters.
class WordpieceTokenizer final : public VocabularyTokenizer {
 public:
  static StatusOr<std::shared_ptr<const Tokenizer>> create(const v1::Vocabulary& vocabulary);

  bool strips_leading_space() const override { return true; }
  // Space between words, accents and control characters leave no token, however many there are.
  size_t least_tokens(std::string_view) const override { return 0; }

 protected:
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string text_of(int32_t id) const override;

 private:
  WordpieceTokenizer(TokenizerVocabulary vocabulary, Frame frame);

  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;
  // The longest piece at the front of `text`; -1: none.
  int32_t longest_piece(std::string_view text, bool begins_word) const;

  StringIndex pieces_;  // number = id; those that begin a word have kWordMark in front
  size_t longest_piece_ = 0;
};

// The words of a text after BERT's normalisation, in order.
std::vector<std::string> split_bert_words(std::string_view text);

}  // namespace bessemer
