#include "worker/sampling/adjust.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/sampling/rows.h"

namespace bessemer {
namespace {

struct Case {
  SamplingParams params;
  std::vector<int32_t> history, stop, bias_ids, allowed, banned;
  std::vector<float> bias;
  int32_t prompt_len = 0;

  SampleInput input() const {
    SampleInput in;
    in.params = &params;
    in.history = history;
    in.prompt_len = prompt_len;
    in.stop_ids = stop;
    in.bias_ids = bias_ids;
    in.bias = bias;
    in.allowed_ids = allowed;
    in.banned = banned;
    return in;
  }
};

std::vector<float> adjusted(std::vector<float> row, const Case& c) {
  std::vector<int32_t> counts(row.size());
  adjust(row, c.input(), counts);
  EXPECT_TRUE(std::ranges::all_of(counts, [](int32_t n) { return n == 0; }));
  return row;
}

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::ranges::find(ids, id) != ids.end();
}

bool is_banned(const Case& c, int32_t id) {
  for (size_t at = 0; at < c.banned.size();) {
    const size_t length = static_cast<size_t>(c.banned[at]);
    const std::vector<int32_t> ids(c.banned.begin() + static_cast<ptrdiff_t>(at) + 1,
                                   c.banned.begin() + static_cast<ptrdiff_t>(at + 1 + length));
    std::vector<int32_t> text = c.history;
    text.push_back(id);
    if (text.size() >= length && std::equal(ids.rbegin(), ids.rend(), text.rbegin())) return true;
    at += 1 + length;
  }
  return false;
}

// One token at a time, from the description of each parameter.
float naive(float logit, int32_t id, const Case& c) {
  const SamplingParams& p = c.params;
  for (size_t i = 0; i < c.bias_ids.size(); ++i) {
    if (c.bias_ids[i] == id) logit += c.bias[i];
  }
  if (contains(c.history, id)) {
    logit = logit > 0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
  }
  const auto output = c.history.begin() + c.prompt_len;
  const auto count = std::count(output, c.history.end(), id);
  if (count > 0) {
    logit -= p.frequency_penalty * static_cast<float>(count) + p.presence_penalty;
  }
  const auto generated = c.history.end() - output;
  if (!c.allowed.empty() && !contains(c.allowed, id)) return kImpossible;
  if (is_banned(c, id)) return kImpossible;
  if (generated < p.min_tokens && contains(c.stop, id)) return kImpossible;
  return logit;
}

std::vector<int32_t> some_ids(Random& random, size_t most, int32_t vocab) {
  std::vector<int32_t> ids(random.below(most + 1));
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab)));
  return ids;
}

Case random_case(Random& random, int32_t vocab) {
  Case c;
  c.history = some_ids(random, 60, vocab);
  c.prompt_len = static_cast<int32_t>(random.below(c.history.size() + 1));
  const auto step = [&] { return static_cast<float>(random.between(-8, 8)) * 0.25f; };
  if (random.chance(0.5)) c.params.repetition_penalty = 1.25f + std::abs(step());
  if (random.chance(0.5)) c.params.frequency_penalty = step();
  if (random.chance(0.5)) c.params.presence_penalty = step();
  if (random.chance(0.5)) c.params.min_tokens = static_cast<int32_t>(random.below(60));
  c.stop = some_ids(random, 4, vocab);
  c.bias_ids = some_ids(random, 5, vocab);
  for (size_t i = 0; i < c.bias_ids.size(); ++i) c.bias.push_back(step());
  if (random.chance(0.3)) c.allowed = some_ids(random, 20, vocab);
  for (int i = 0; i < 4; ++i) {
    std::vector<int32_t> sequence = some_ids(random, 3, vocab);
    if (sequence.empty()) continue;
    if (random.chance(0.5)) {  // one that strikes: the end of the history, then the last id
      for (size_t k = 0; k + 1 < sequence.size() && k < c.history.size(); ++k) {
        sequence[sequence.size() - 2 - k] = c.history[c.history.size() - 1 - k];
      }
    }
    c.banned.push_back(static_cast<int32_t>(sequence.size()));
    c.banned.insert(c.banned.end(), sequence.begin(), sequence.end());
  }
  return c;
}

TEST(Adjust, EqualsTheDescriptionTokenByToken) {
  Random random(20);
  constexpr int32_t kVocab = 64;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<float> row = random_row(random, kVocab, 10, false, 0.05);
    const Case c = random_case(random, kVocab);
    const std::vector<float> result = adjusted(row, c);
    for (int32_t id = 0; id < kVocab; ++id) {
      ASSERT_EQ(result[static_cast<size_t>(id)], naive(row[static_cast<size_t>(id)], id, c))
          << "round " << round << " id " << id;
    }
    if (!needs_adjustment(c.input())) EXPECT_EQ(result, row);
  }
}

TEST(Adjust, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  Case c;
  c.params.repetition_penalty = 2;
  c.history = {0, 1, 0};  // twice is no worse than once
  EXPECT_EQ(adjusted({4, -4, 4}, c), (std::vector<float>{2, -8, 4}));
}

TEST(Adjust, NoBiasBringsBackWhatIsForbidden) {
  Case c;
  c.banned = {1, 0};
  c.bias_ids = {0};
  c.bias = {100};
  EXPECT_EQ(adjusted({1, 1}, c)[0], kImpossible);
}

TEST(Adjust, NothingToDoIsSeen) {
  Case c;
  c.history = {1, 2, 3};
  c.stop = {1};
  EXPECT_FALSE(needs_adjustment(c.input()));
  c.params.min_tokens = 4;  // three came out
  EXPECT_TRUE(needs_adjustment(c.input()));
}

}  // namespace
}  // namespace bessemer
