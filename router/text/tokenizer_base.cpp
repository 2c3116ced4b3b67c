#include "router/text/tokenizer_base.h"

#include <utility>

namespace bessemer {
namespace {

std::vector<SpecialMatcher::Entry> entries_of(const TokenizerVocabulary& vocabulary,
                                              bool user_defined_only) {
  std::vector<SpecialMatcher::Entry> entries;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenKind kind = vocabulary.kind(id);
    const bool hidden = kind == TokenKind::control || kind == TokenKind::unknown;
    if (kind != TokenKind::user_defined && (user_defined_only || !hidden)) continue;
    if (!vocabulary.spellings[id].empty()) entries.push_back({vocabulary.spellings[id], id});
  }
  return entries;
}

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(TokenizerVocabulary vocabulary, Frame frame)
    : vocabulary_(std::move(vocabulary)),
      frame_(frame),
      specials_(entries_of(vocabulary_, false)),
      user_defined_(entries_of(vocabulary_, true)) {}

std::vector<int32_t> VocabularyTokenizer::encode(std::string_view text,
                                                 EncodeOptions options) const {
  const SpecialMatcher& specials = options.parse_special ? specials_ : user_defined_;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 2);  // about 4 bytes per token in English, less elsewhere
  if (options.add_special && frame_.first >= 0) ids.push_back(frame_.first);
  for (size_t at = 0; at < text.size();) {
    const SpecialMatcher::Match match = specials.find(text, at);
    if (match.begin > at) encode_text(text.substr(at, match.begin - at), ids);
    at = match.end;
    if (match.id < 0) break;
    ids.push_back(match.id);
    if (swallows_space_behind(match.id)) {
      while (at < text.size() && is_ascii_space(text[at])) ++at;
    }
  }
  if (options.add_special && frame_.last >= 0) ids.push_back(frame_.last);
  return ids;
}

bool VocabularyTokenizer::is_control(int32_t id) const {
  if (!in_range(id)) return false;
  return vocabulary_.kind(id) == TokenKind::control || vocabulary_.kind(id) == TokenKind::unknown;
}

std::string VocabularyTokenizer::piece(int32_t id, bool special) const {
  if (!in_range(id)) return "";  // a row of the output head that pads it to a round size
  if (is_control(id)) return special ? std::string(vocabulary_.spellings[id]) : "";
  if (vocabulary_.kind(id) == TokenKind::user_defined)
    return std::string(vocabulary_.spellings[id]);
  return text_of(id);
}

std::string VocabularyTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  bool drop_space = strips_leading_space();
  for (const int32_t id : ids) {
    const std::string bytes = piece(id, !skip_special);
    if (bytes.empty()) continue;
    text.append(bytes, drop_space && bytes[0] == ' ' ? 1 : 0);
    drop_space = false;
  }
  return text;
}

StatusOr<int32_t> frame_id(std::optional<bool> wanted, bool family_default, int32_t id,
                           const std::string& flag_key, const std::string& id_key) {
  if (!wanted.value_or(family_default)) return -1;
  if (id < 0 && wanted.has_value()) {
    return absl::InvalidArgumentError("tokenizer.ggml." + flag_key +
                                      " is true, but tokenizer.ggml." + id_key + " is missing");
  }
  return id;
}

}  // namespace bessemer
