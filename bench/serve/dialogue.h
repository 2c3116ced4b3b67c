// One conversation as it is sent: everything said so far, in one request body.
#pragma once
#include <string>

#include "bench/serve/target.h"

namespace bessemer::bench {

class Dialogue {
 public:
  explicit Dialogue(const Target& target) : target_(target) {}

  void say(const std::string& text);     // the user
  void hear(const std::string& answer);  // the server
  std::string path() const;
  // A streamed request for the next answer, greedy, with usage.
  std::string body(int output_tokens) const;

 private:
  const Target& target_;
  std::string text_;      // completions
  json::array messages_;  // chat
};

}  // namespace bessemer::bench
