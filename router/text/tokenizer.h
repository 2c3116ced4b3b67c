// Text to token ids and back, from the vocabulary that a worker sends (GGUF's tokenizer.* keys).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "common/status.h"

namespace bessemer {

struct EncodeOptions {
  bool add_special = true;  // BOS, EOS, CLS, SEP as the vocabulary asks for
  bool parse_special =
      true;  // control tokens spelled out in the text ("<|im_end|>") become their ids
};

// Immutable once made; any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // InvalidArgument names the key that is missing or inconsistent, or the unknown pre-tokeniser.
  static StatusOr<std::shared_ptr<const Tokenizer>> create(const v1::Vocabulary& vocabulary);

  // Any bytes: invalid UTF-8 is encoded as the family does it (byte tokens, or U+FFFD), never
  // refused.
  virtual std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const = 0;
  // At least so many ids encode() would give, told without encoding: by the longest token there is.
  // 0: nothing can be told, since this tokenizer may drop any part of a text.
  virtual size_t least_tokens(std::string_view text) const = 0;
  // The bytes of one token in running text; may be half a character. Control tokens: their spelling
  // if `special`, else "".
  virtual std::string piece(int32_t id, bool special) const = 0;
  // The text of a whole sequence; the family's own rule for a leading space applies.
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special) const = 0;

  virtual int32_t vocab_size() const = 0;
  virtual bool is_control(int32_t id) const = 0;
  // Exact spelling to id; -1: there is none.
  virtual int32_t find(std::string_view spelling) const = 0;
  virtual int32_t bos_id() const = 0;  // -1: none
  virtual int32_t eos_id() const = 0;  // -1: none
  // True when the first piece of a text drops its leading space (SentencePiece).
  virtual bool strips_leading_space() const = 0;
};

}  // namespace bessemer
