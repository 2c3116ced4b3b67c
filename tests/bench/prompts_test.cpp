#include "bench/serve/prompts.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::HasSubstr;

// A tokeniser that splits at spaces; words cost what `costs` says (1 if nothing), and every prompt
// has `overhead` tokens more.
class FakeServer {
 public:
  explicit FakeServer(int overhead, std::map<std::string, int> costs = {}, int other = 1)
      : overhead_(overhead), costs_(std::move(costs)), other_(other) {}

  int count(const std::string& prompt) const {
    int tokens = overhead_;
    for (size_t at = 0; at < prompt.size();) {
      const size_t end = std::min(prompt.find(' ', at + 1), prompt.size());
      const auto cost = costs_.find(prompt.substr(at, end - at));
      tokens += cost == costs_.end() ? other_ : cost->second;
      at = end;
    }
    return tokens;
  }
  TokenCounter counter() {
    return [this](const std::string& prompt) -> StatusOr<int> {
      ++asked_;
      return count(prompt);
    };
  }
  int asked() const { return asked_; }

 private:
  int overhead_;
  std::map<std::string, int> costs_;
  int other_;
  int asked_ = 0;
};

TEST(Prompts, WordsAreDifferent) {
  const std::set<std::string_view> words(prompt_words().begin(), prompt_words().end());
  EXPECT_EQ(words.size(), prompt_words().size());
  for (const std::string_view word : words) EXPECT_TRUE(word.starts_with(' ')) << word;
}

TEST(Prompts, ACommonVocabularyIsLearntWithTwoQuestions) {
  FakeServer server(1);
  const StatusOr<WordCosts> costs = learn_word_costs(server.counter());
  ASSERT_TRUE(costs.ok()) << costs.status();
  EXPECT_EQ(server.asked(), 2);
  EXPECT_EQ(costs->opening, 2);
  EXPECT_EQ(costs->words.size(), prompt_words().size());
}

TEST(Prompts, LongWordsAreFoundAndLeftOut) {
  FakeServer server(0, {{" tree", 2}, {" house", 3}});
  const StatusOr<WordCosts> costs = learn_word_costs(server.counter());
  ASSERT_TRUE(costs.ok());
  EXPECT_EQ(costs->words.size(), prompt_words().size() - 2);
  for (const auto& word : costs->words) EXPECT_EQ(word.tokens, 1) << word.text;
  EXPECT_LT(server.asked(), 30) << "by halves";
}

TEST(Prompts, HaveExactlyTheirTokens) {
  // Of one token: " a" alone. All others are kept, since one word makes no prompt.
  FakeServer server(5, {{" a", 1}, {" the", 2}, {" sea", 7}}, 3);
  const StatusOr<WordCosts> costs = learn_word_costs(server.counter());
  ASSERT_TRUE(costs.ok());
  EXPECT_EQ(costs->words.size(), prompt_words().size());
  const PromptWriter writer(*costs);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const int head = static_cast<int>(random.between(costs->opening, 300));
    const int rest = static_cast<int>(random.between(0, 300));
    const std::string prompt = writer.opening(random, head);
    EXPECT_EQ(server.count(prompt), head) << "seed " << seed;
    EXPECT_EQ(server.count(prompt + writer.words(random, rest)), head + rest) << "seed " << seed;
  }
}

TEST(Prompts, FallShortWhereNoWordFits) {
  FakeServer server(0, {}, 3);
  const StatusOr<WordCosts> costs = learn_word_costs(server.counter());
  ASSERT_TRUE(costs.ok());
  Random random(1);
  EXPECT_EQ(server.count(PromptWriter(*costs).opening(random, 11)), 9);
  EXPECT_EQ(PromptWriter(*costs).opening(random, 1), kOpeningWord) << "never less";
}

TEST(Prompts, AServerThatDoesNotCountIsRefused) {
  const auto none = learn_word_costs([](const std::string&) -> StatusOr<int> { return 0; });
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("usage.prompt_tokens"));
  const auto broken = learn_word_costs(
      [](const std::string&) -> StatusOr<int> { return absl::UnavailableError("gone"); });
  EXPECT_EQ(broken.status().message(), "gone");
}

}  // namespace
}  // namespace bessemer::bench
