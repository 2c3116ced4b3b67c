// Byte-level byte pair encoding, GGUF's tokenizer model "gpt2".
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/text/bpe_ranks.h"
#include "router/text/bpe_whole.h"
#include "router/text/pre_tokenizer.h"
#include "router/text/tokenizer_base.h"

namespace bessemer {

// Bytes that are not UTF-8 are encoded by their byte tokens, so that decode(encode(x)) = x for any
// bytes. A byte that the vocabulary has no token for is left out, as the reference implementations
// do; such vocabularies exist (SmolLM2's lacks 21 bytes, six of them control characters, the others
// in no text).
class BpeTokenizer final : public VocabularyTokenizer {
 public:
  static StatusOr<std::shared_ptr<const Tokenizer>> create(const v1::Vocabulary& vocabulary);

  bool strips_leading_space() const override { return false; }
  size_t least_tokens(std::string_view text) const override;

 protected:
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string text_of(int32_t id) const override;

 private:
  BpeTokenizer(TokenizerVocabulary vocabulary, Frame frame, BpeRanks ranks, PreTokenizer splitter,
               bool ignore_merges);

  void encode_piece(std::string_view piece, BpeMerger& merger, std::vector<int32_t>& ids) const;
  void merge_piece(std::string_view piece, BpeMerger& merger, std::vector<int32_t>& ids) const;

  BpeRanks ranks_;
  PreTokenizer splitter_;
  bool ignore_merges_;
  StringIndex bytes_;  // what each token stands for; number = id; only what may come of plain text
                       // is findable
  size_t longest_token_ = 1;  // bytes of text
  WholeTokens whole_;
};

}  // namespace bessemer
