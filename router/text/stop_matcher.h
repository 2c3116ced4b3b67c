// Finds stop strings across token borders; holds back only what may still become one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

// The text ends at the first byte that completes a stop string; of those that this byte completes,
// at the longest. So the result does not depend on how the text is cut into pieces. Time per byte:
// one step of one automaton per stop string (Knuth, Morris and Pratt 1977).
class StopMatcher {
 public:
  // `include`: the stop string itself is part of the output. Empty strings must not be given.
  StopMatcher(std::vector<std::string> stops, bool include);

  struct Result {
    std::string text;  // safe to send now
    int matched =
        -1;  // index of the stop string that ended the text; nothing may be pushed after it
  };
  // With valid UTF-8 given and stop strings of valid UTF-8, `text` is valid UTF-8 too.
  Result push(std::string_view text);
  // The text ended otherwise: what was held back.
  std::string flush();

 private:
  struct Stop {
    std::string text;
    std::vector<uint32_t>
        border;            // border[k]: the longest proper prefix of text[0, k) that ends it
    uint32_t matched = 0;  // the longest prefix of `text` that ends what was pushed
  };
  static void step(Stop& stop, char byte);
  // The longest stop string that is now complete; -1: none.
  int complete() const;

  std::vector<Stop> stops_;
  bool include_;
  bool ended_ = false;
  std::string held_;  // the longest end of the text that is a prefix of a stop string
};

}  // namespace bessemer
