// Ids to text, one at a time, never splitting a character.
#pragma once
#include <cstdint>
#include <string>

#include "router/text/tokenizer.h"

namespace bessemer {

// Invariant: the concatenation of all that push() and flush() return equals the bytes of all
// pieces, with each maximal invalid sequence replaced by U+FFFD (as replace_invalid_utf8 does);
// every returned string is valid UTF-8.
class Detokenizer {
 public:
  // `tokenizer` outlives it. `at_start`: the text begins here (a leading space may be dropped);
  // false behind a prompt.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special, bool at_start)
      : tokenizer_(&tokenizer),
        skip_special_(skip_special),
        drop_space_(at_start && tokenizer.strips_leading_space()) {}

  // The characters that `id` completes; may be empty.
  std::string push(int32_t id);
  // What was held back; incomplete bytes become U+FFFD.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool drop_space_;  // the next byte is the text's first one, and a space there is not part of it
  std::string pending_;  // at most 3 bytes: the beginning of one character
};

}  // namespace bessemer
