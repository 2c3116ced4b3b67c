#include "router/text/spm_normalizer.h"

#include <cstring>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// A unit of the double array: how the bits are packed is Darts-clone's format.
bool has_leaf(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t label(uint32_t unit) {
  return unit & 0x800000FF;
}
uint32_t value(uint32_t unit) {
  return unit & 0x7FFFFFFF;
}
uint32_t offset(uint32_t unit) {
  return (unit >> 10) << ((unit & 1U << 9) >> 6);
}

std::string collapse_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out.push_back(c);
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace

StatusOr<SpmNormalizer> SpmNormalizer::create(std::string_view charsmap,
                                              SpmNormalizerOptions options) {
  SpmNormalizer made(options);
  if (charsmap.empty()) return made;
  uint32_t trie_bytes = 0;
  constexpr size_t kHeader = sizeof trie_bytes;
  if (charsmap.size() >= kHeader) std::memcpy(&trie_bytes, charsmap.data(), kHeader);
  const bool fits = charsmap.size() > kHeader && trie_bytes <= charsmap.size() - kHeader - 1;
  if (!fits || trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0 || charsmap.back() != '\0') {
    return absl::InvalidArgumentError("tokenizer.ggml.precompiled_charsmap (" +
                                      std::to_string(charsmap.size()) +
                                      " bytes) is no character map; convert the file again");
  }
  made.trie_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(made.trie_.data(), charsmap.data() + kHeader, trie_bytes);
  made.replacements_ = charsmap.substr(kHeader + trie_bytes);
  return made;
}

SpmNormalizer::Match SpmNormalizer::longest_key(std::string_view text) const {
  Match longest;
  uint32_t node = offset(trie_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= trie_.size() || label(trie_[node]) != byte) break;
    const bool leaf = has_leaf(trie_[node]);
    node ^= offset(trie_[node]);
    if (node >= trie_.size()) break;
    if (leaf && value(trie_[node]) < replacements_.size()) longest = {i + 1, value(trie_[node])};
  }
  return longest;
}

std::string SpmNormalizer::map_characters(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Match match = longest_key(text);
    if (match.length > 0) {
      out.append(replacements_.c_str() + match.replacement);
      text.remove_prefix(match.length);
      continue;
    }
    const DecodedCharacter character = decode_utf8(text, 0);
    out.append(character.valid ? text.substr(0, character.length) : kReplacementUtf8);
    text.remove_prefix(character.length);
  }
  return out;
}

std::string SpmNormalizer::normalize(std::string_view text) const {
  std::string mapped;
  if (!trie_.empty()) text = mapped = map_characters(text);
  std::string collapsed;
  if (options_.remove_extra_whitespaces) text = collapsed = collapse_spaces(text);
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 2);
  if (options_.space_prefix) out.append(kSpaceMark);
  for (const char c : text) {
    if (c == ' ') {
      out.append(kSpaceMark);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace bessemer
