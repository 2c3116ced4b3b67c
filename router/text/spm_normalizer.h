// What SentencePiece does to a text before it merges: its character map, superfluous spaces, U+2581
// for spaces.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace bessemer {

inline constexpr std::string_view kSpaceMark =
    "\xE2\x96\x81";  // U+2581, how vocabularies spell a space

struct SpmNormalizerOptions {
  bool space_prefix = true;  // a space in front of the text
  bool remove_extra_whitespaces = false;
};

// Immutable; any thread.
class SpmNormalizer {
 public:
  // `charsmap`: tokenizer.ggml.precompiled_charsmap, or empty. InvalidArgument: it is no such map.
  static StatusOr<SpmNormalizer> create(std::string_view charsmap, SpmNormalizerOptions options);

  std::string normalize(std::string_view text) const;
  // True: what normalize() gives may be shorter than the text.
  bool shortens() const { return !trie_.empty() || options_.remove_extra_whitespaces; }

 private:
  explicit SpmNormalizer(SpmNormalizerOptions options) : options_(options) {}

  // The longest key at the front of `text`: its length, 0 if there is none, and where in
  // replacements_ its replacement is.
  struct Match {
    size_t length = 0, replacement = 0;
  };
  Match longest_key(std::string_view text) const;
  std::string map_characters(std::string_view text) const;

  SpmNormalizerOptions options_;
  // A double-array trie (Darts-clone) from byte strings to offsets in replacements_, whose strings
  // end with a zero.
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace bessemer
