// A checked vocabulary: what the tokenizer families share, taken out of the message that a worker
// sent.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "common/status.h"
#include "router/text/tokenizer_index.h"

namespace bessemer {

// Of GGUF's tokenizer.ggml.token_type.
enum class TokenKind : uint8_t { undefined, normal, unknown, control, user_defined, unused, byte };

struct TokenizerVocabulary {
  StringIndex spellings;         // as the file has them; number = id
  std::vector<TokenKind> kinds;  // one per token
  std::vector<float> scores;     // one per token, or empty
  // -1: the vocabulary has none. Every other id is in range.
  int32_t bos_id = -1, eos_id = -1, unk_id = -1, sep_id = -1, cls_id = -1;
  std::optional<bool> add_bos{}, add_eos{}, add_space_prefix{};
  bool remove_extra_whitespaces = false;

  int32_t size() const { return spellings.size(); }
  TokenKind kind(int32_t id) const { return kinds[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores.empty() ? 0 : scores[static_cast<size_t>(id)]; }
};

// InvalidArgument names the tokenizer.ggml key that is inconsistent.
StatusOr<TokenizerVocabulary> check_vocabulary(const v1::Vocabulary& vocabulary);

// The byte that a spelling such as "<0x0A>" stands for; -1: it is none.
int parse_byte_token(std::string_view spelling);

}  // namespace bessemer
