#include "bench/serve/prompts.h"

#include <algorithm>
#include <array>

namespace bessemer::bench {
namespace {

constexpr std::array<std::string_view, 64> kWords = {
    " the",  " a",    " and",   " to",    " was",   " he",     " she",   " it",
    " they", " in",   " of",    " with",  " day",   " little", " play",  " big",
    " said", " had",  " but",   " very",  " so",    " not",    " for",   " on",
    " his",  " her",  " you",   " we",    " all",   " one",    " out",   " up",
    " can",  " see",  " go",    " look",  " want",  " like",   " time",  " happy",
    " home", " tree", " water", " house", " man",   " people", " way",   " good",
    " new",  " work", " year",  " world", " life",  " hand",   " place", " part",
    " case", " week", " name",  " book",  " night", " door",   " road",  " sea"};

using Words = std::span<const std::string_view>;

class WordScale {
 public:
  explicit WordScale(const TokenCounter& count) : count_(count) {}

  StatusOr<WordCosts> weigh() {
    ASSIGN_OR_RETURN(costs_.opening, count_(std::string(kOpeningWord)));
    RETURN_IF_ERROR(weigh(kWords));
    return std::move(costs_);
  }

 private:
  Status weigh(Words words) {
    std::string prompt(kOpeningWord);
    for (const std::string_view word : words) prompt += word;
    ASSIGN_OR_RETURN(const int together, count_(prompt));
    const int tokens = together - costs_.opening;
    if (tokens < static_cast<int>(words.size())) {
      return absl::InternalError(
          "the server counts " + std::to_string(together) + " tokens in \"" + prompt + "\", and " +
          std::to_string(costs_.opening) + " in its first word: prompts of a wanted length " +
          "cannot be made. Does it report usage.prompt_tokens of the whole prompt?");
    }
    if (tokens == static_cast<int>(words.size()) || words.size() == 1) {
      const int each = tokens / static_cast<int>(words.size());
      for (const std::string_view word : words) costs_.words.push_back({std::string(word), each});
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(weigh(words.first(words.size() / 2)));
    return weigh(words.subspan(words.size() / 2));
  }

  const TokenCounter& count_;
  WordCosts costs_;
};

}  // namespace

std::span<const std::string_view> prompt_words() {
  return kWords;
}

StatusOr<WordCosts> learn_word_costs(const TokenCounter& count) {
  ASSIGN_OR_RETURN(WordCosts costs, WordScale(count).weigh());
  const auto is_long = [](const WordCosts::Word& word) { return word.tokens > 1; };
  const auto long_words = static_cast<size_t>(std::ranges::count_if(costs.words, is_long));
  if (costs.words.size() - long_words >= kEnoughWords) std::erase_if(costs.words, is_long);
  return costs;
}

std::string PromptWriter::opening(Random& random, int tokens) const {
  return std::string(kOpeningWord) + words(random, tokens - costs_.opening);
}

std::string PromptWriter::words(Random& random, int tokens) const {
  std::string text;
  const auto fits = [&](const WordCosts::Word& word) { return word.tokens <= tokens; };
  while (tokens > 0) {
    const WordCosts::Word* word = &costs_.words[random.below(costs_.words.size())];
    if (!fits(*word)) {
      const auto other = std::ranges::find_if(costs_.words, fits);
      if (other == costs_.words.end()) break;
      word = &*other;
    }
    text += word->text;
    tokens -= word->tokens;
  }
  return text;
}

}  // namespace bessemer::bench
