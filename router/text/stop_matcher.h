// Finds stop strings across token borders; holds back only what may still become one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

class StopMatcher {
 public:
  // `include`: the stop string itself is part of the output. Empty strings must not be given.
  StopMatcher(std::vector<std::string> stops, bool include);

  struct Result {
    std::string text;    // safe to send now
    int matched = -1;    // index of the stop string that ended the text; nothing may be pushed after it
  };
  Result push(std::string_view text);
  // The text ended otherwise: what was held back.
  std::string flush();

 private:
  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
};

}  // namespace bessemer
