// What every tokenizer family does alike: special tokens, their place around a text, and the walk
// back to text.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/text/tokenizer.h"
#include "router/text/tokenizer_specials.h"
#include "router/text/tokenizer_vocabulary.h"

namespace bessemer {

class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const final;
  std::string piece(int32_t id, bool special) const final;
  std::string decode(std::span<const int32_t> ids, bool skip_special) const final;

  int32_t vocab_size() const final { return vocabulary_.size(); }
  bool is_control(int32_t id) const final;
  int32_t find(std::string_view spelling) const final {
    return vocabulary_.spellings.find(spelling);
  }
  int32_t bos_id() const final { return vocabulary_.bos_id; }
  int32_t eos_id() const final { return vocabulary_.eos_id; }

 protected:
  // What stands around a whole text, by EncodeOptions::add_special; -1: nothing.
  struct Frame {
    int32_t first = -1, last = -1;
  };
  VocabularyTokenizer(TokenizerVocabulary vocabulary, Frame frame);

  // Appends the ids of a text without special tokens, not empty: the whole one, or what lies
  // between two of them.
  virtual void encode_text(std::string_view text, std::vector<int32_t>& ids) const = 0;
  // The bytes of a token that is neither control nor unknown nor user-defined.
  virtual std::string text_of(int32_t id) const = 0;
  // True: white space behind this special token belongs to it.
  virtual bool swallows_space_behind(int32_t) const { return false; }

  const TokenizerVocabulary& vocabulary() const { return vocabulary_; }

 private:
  bool in_range(int32_t id) const { return id >= 0 && id < vocabulary_.size(); }

  TokenizerVocabulary vocabulary_;
  Frame frame_;
  SpecialMatcher specials_;      // control, unknown and user-defined tokens
  SpecialMatcher user_defined_;  // those that are cut out even when nothing special is parsed
};

// `id` where `wanted`, or the family's default where the file does not say. InvalidArgument: wanted
// by the file, but there is no such id.
StatusOr<int32_t> frame_id(std::optional<bool> wanted, bool family_default, int32_t id,
                           const std::string& flag_key, const std::string& id_key);

}  // namespace bessemer
