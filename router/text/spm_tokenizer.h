// SentencePiece's BPE, GGUF's tokenizer model "llama": pairs merge by the score of their product
// (Kudo and Richardson 2018).
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/text/bpe_merge.h"
#include "router/text/bpe_whole.h"
#include "router/text/spm_normalizer.h"
#include "router/text/tokenizer_base.h"

namespace bessemer {

// A character without a token becomes its byte tokens, or the unknown token where the vocabulary
// lacks those; bytes that are not UTF-8 likewise. Each text behind a special token gets a space in
// front, as the whole text does.
class SpmTokenizer final : public VocabularyTokenizer {
 public:
  static StatusOr<std::shared_ptr<const Tokenizer>> create(const v1::Vocabulary& vocabulary);

  bool strips_leading_space() const override { return space_prefix_; }
  size_t least_tokens(std::string_view text) const override;

 protected:
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const override;
  std::string text_of(int32_t id) const override;
  bool swallows_space_behind(int32_t id) const override;

 private:
  SpmTokenizer(TokenizerVocabulary vocabulary, Frame frame, SpmNormalizer normalizer,
               bool space_prefix);

  void index_tokens();
  void rank_tokens();
  // The token that plain text may become; -1: there is none.
  int32_t find_text(std::string_view text) const;
  void encode_word(std::string_view word, BpeMerger& merger, std::vector<int32_t>& ids) const;
  void merge_word(std::string_view word, BpeMerger& merger, std::vector<int32_t>& ids) const;
  void append_bytes(std::string_view character, std::vector<int32_t>& ids) const;

  SpmNormalizer normalizer_;
  bool space_prefix_;
  bool phi3_ = false;  // spaces behind its turn marks belong to them
  bool words_are_apart_ =
      true;  // no token has a space behind another character: merges never cross into a word
  size_t longest_token_ = 0;              // bytes, of those that text may become
  size_t longest_spelling_ = 0;           // bytes, of all; not shorter than what it stands for
  std::vector<uint32_t> ranks_;           // one per token: 0 has the best score
  std::array<int32_t, 256> byte_tokens_;  // -1: none
  WholeTokens whole_;
};

}  // namespace bessemer
