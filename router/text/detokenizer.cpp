#include "router/text/detokenizer.h"

#include <algorithm>
#include <utility>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// Bytes in front of a character that the text's end cuts off; text.size() if none is.
size_t complete_prefix(std::string_view text) {
  constexpr size_t kLongestBeginning = 3;
  for (size_t back = 1; back <= std::min(text.size(), kLongestBeginning); ++back) {
    const size_t at = text.size() - back;
    const DecodedCharacter character = decode_utf8(text, at);
    if (character.truncated && character.length == back) return at;
  }
  return text.size();
}

}  // namespace

std::string Detokenizer::push(int32_t id) {
  const std::string piece = tokenizer_->piece(id, !skip_special_);
  if (piece.empty()) return "";
  pending_.append(piece, drop_space_ && piece[0] == ' ' ? 1 : 0);
  drop_space_ = false;
  const size_t complete = complete_prefix(pending_);
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string Detokenizer::flush() {
  return replace_invalid_utf8(std::exchange(pending_, {}));
}

}  // namespace bessemer
