// Ids to text, one at a time, never splitting a character.
#pragma once
#include <cstdint>
#include <string>

#include "router/text/tokenizer.h"

namespace bessemer {

// Invariant: the concatenation of all that push() and flush() return equals the bytes of all pieces, with each maximal invalid
// sequence replaced by U+FFFD; every returned string is valid UTF-8.
class Detokenizer {
 public:
  // `tokenizer` outlives it. `at_start`: the text begins here (a leading space may be dropped); false behind a prompt.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special, bool at_start)
      : tokenizer_(&tokenizer), skip_special_(skip_special), at_start_(at_start) {}

  // The characters that `id` completes; may be empty.
  std::string push(int32_t id);
  // What was held back; incomplete bytes become U+FFFD.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_, at_start_;
  std::string pending_;  // at most 3 bytes: the beginning of one character
};

}  // namespace bessemer
