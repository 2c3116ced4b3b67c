// Prompts of a wanted number of tokens, for a server whose tokeniser is not at hand.
//
// The vocabulary of a server is learnt from what it says of itself: usage.prompt_tokens of a few
// short requests (learn_word_costs). A prompt is the opening word and then words of a list, each
// with a space before it. Tokenisers split at that space, so the tokens of a prompt are the sum of
// the tokens of its words: prompts are written without asking again, the count holds for every
// server with that vocabulary, and it includes what the server adds of its own (a begin token, a
// chat template), since the opening word was counted by the server too.
//
// The other ways were: /tokenize, which only some servers have and each in a shape of its own; ids
// as prompts, which skip the tokeniser that is a part of what is measured. What was sent is checked
// all the same: every table shows the prompt tokens that the server counted.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/random.h"
#include "common/status.h"

namespace bessemer::bench {

// The words that prompts are made of: common enough to be one token in most vocabularies.
std::span<const std::string_view> prompt_words();
inline constexpr std::string_view kOpeningWord = "Once";

struct WordCosts {
  struct Word {
    std::string text;  // with the space before it
    int tokens = 1;
  };
  int opening = 1;  // tokens of a prompt that is nothing but kOpeningWord
  std::vector<Word> words;
};

// The tokens of a prompt as the server counts them.
using TokenCounter = std::function<StatusOr<int>(const std::string& prompt)>;

// Asks for all words at once; where they are not one token each, for halves, and so on: three
// requests with most vocabularies. Words of several tokens are left out when kEnoughWords of one
// token remain.
StatusOr<WordCosts> learn_word_costs(const TokenCounter& count);
constexpr size_t kEnoughWords = 16;

class PromptWriter {
 public:
  explicit PromptWriter(WordCosts costs) : costs_(std::move(costs)) {}

  // A prompt's beginning of `tokens` tokens together; never less than the opening word.
  std::string opening(Random& random, int tokens) const;
  // Words of `tokens` tokens together, to stand behind an opening. Fewer only where no word of the
  // list fits into what is left.
  std::string words(Random& random, int tokens) const;

 private:
  const WordCosts costs_;
};

}  // namespace bessemer::bench
