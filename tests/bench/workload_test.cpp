#include "bench/serve/workload.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::HasSubstr;

// One token a word, none beside.
PromptWriter word_writer() {
  WordCosts costs;
  for (const std::string_view word : prompt_words()) costs.words.push_back({std::string(word), 1});
  return PromptWriter(costs);
}

int tokens_of(std::string_view text) {
  return static_cast<int>(std::ranges::count(text, ' ')) + (text.starts_with(kOpeningWord) ? 1 : 0);
}

std::vector<Phase> make(const WorkloadOptions& options, uint64_t seed = 1) {
  StatusOr<std::vector<Phase>> phases = make_workload(options, word_writer(), seed);
  EXPECT_TRUE(phases.ok()) << phases.status();
  return *std::move(phases);
}

std::vector<std::string> first_turns(const std::vector<Phase>& phases) {
  std::vector<std::string> texts;
  for (const Phase& phase : phases) {
    for (const Conversation& conversation : phase.conversations)
      texts.push_back(conversation.turns.front().text);
  }
  return texts;
}

TEST(Workload, IsTheSameForTheSameSeedAlone) {
  for (const WorkloadKind kind :
       {WorkloadKind::fixed, WorkloadKind::shared_prefix, WorkloadKind::turns}) {
    WorkloadOptions options{.kind = kind, .arrivals = ArrivalKind::poisson, .input_tokens = 1600};
    EXPECT_EQ(first_turns(make(options, 5)), first_turns(make(options, 5)));
    EXPECT_EQ(make(options, 5)[0].conversations[3].at_s, make(options, 5)[0].conversations[3].at_s);
    const auto one = first_turns(make(options, 5)), other = first_turns(make(options, 6));
    for (const std::string& text : one) {
      for (const std::string& far : other)
        EXPECT_NE(text.substr(0, 60), far.substr(0, 60)) << "a round must not warm the next";
    }
  }
}

TEST(Workload, FixedPromptsHaveNothingInCommon) {
  const auto phases = make({.requests = 50, .input_tokens = 200, .output_tokens = 7});
  ASSERT_EQ(phases.size(), 1u);
  std::set<std::string> beginnings;
  for (const Conversation& conversation : phases[0].conversations) {
    ASSERT_EQ(conversation.turns.size(), 1u);
    EXPECT_EQ(tokens_of(conversation.turns[0].text), 200);
    EXPECT_EQ(conversation.turns[0].output_tokens, 7);
    beginnings.insert(conversation.turns[0].text.substr(0, 60));
  }
  EXPECT_EQ(beginnings.size(), 50u);
}

TEST(Workload, ASharedPrefixIsSharedByAllOfBothPhases) {
  const auto phases = make({.kind = WorkloadKind::shared_prefix,
                            .requests = 8,
                            .input_tokens = 320,
                            .prefix_tokens = 300});
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[0].name, "cold");
  EXPECT_EQ(phases[1].name, "warm");
  const auto texts = first_turns(phases);
  ASSERT_EQ(texts.size(), 16u);
  EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()).size(), 16u);
  size_t common = texts[0].size();
  for (const std::string& text : texts) {
    EXPECT_EQ(tokens_of(text), 320);
    const auto end = std::ranges::mismatch(texts[0], text).in1;
    common = std::min(common, static_cast<size_t>(end - texts[0].begin()));
  }
  EXPECT_GE(tokens_of(texts[0].substr(0, common)), 300);
}

TEST(Workload, StreamsAloneAndBesideALongPrompt) {
  const auto phases = make({.kind = WorkloadKind::long_prompt,
                            .requests = 2,
                            .input_tokens = 20,
                            .output_tokens = 9,
                            .long_tokens = 500});
  ASSERT_EQ(phases.size(), 2u);
  EXPECT_EQ(phases[0].conversations.size(), 2u);
  ASSERT_EQ(phases[1].conversations.size(), 3u);
  for (const Phase& phase : phases) EXPECT_TRUE(phase.timed);
  const Conversation& prompt = phases[1].conversations[2];
  EXPECT_EQ(prompt.at_s, 1);
  EXPECT_EQ(prompt.turns[0].output_tokens, 1);
  EXPECT_EQ(tokens_of(prompt.turns[0].text), 500);
  EXPECT_EQ(phases[1].conversations[1].at_s, 0);
  EXPECT_EQ(phases[1].conversations[1].turns[0].output_tokens, 9);
}

TEST(Workload, TurnsGrowAConversation) {
  const auto phases =
      make({.kind = WorkloadKind::turns, .requests = 3, .input_tokens = 40, .turns = 5});
  for (const Conversation& conversation : phases[0].conversations) {
    ASSERT_EQ(conversation.turns.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(tokens_of(conversation.turns[i].text), 40);
      EXPECT_EQ(conversation.turns[i].text.starts_with(kOpeningWord), i == 0);
    }
  }
}

Trace small_trace() {
  Trace trace;
  trace.requests = {{.at_s = 0, .input_tokens = 90, .output_tokens = 5, .blocks = {1, 2, 3}},
                    {.at_s = 1, .input_tokens = 64, .output_tokens = 6, .blocks = {1, 2}},
                    {.at_s = 4, .input_tokens = 64, .output_tokens = 7, .blocks = {8, 9}}};
  trace.block_tokens = 32;
  return trace;
}

TEST(Workload, ATracesBlocksAreItsText) {
  WorkloadOptions options{
      .kind = WorkloadKind::trace, .arrivals = ArrivalKind::trace, .requests = 5};
  options.trace = small_trace();
  const auto phases = make(options);
  const auto texts = first_turns(phases);
  ASSERT_EQ(texts.size(), 5u);
  EXPECT_EQ(tokens_of(texts[0]), 90);
  EXPECT_TRUE(texts[0].starts_with(texts[1])) << "blocks 1 and 2";
  EXPECT_NE(texts[1].substr(0, 60), texts[2].substr(0, 60));
  EXPECT_EQ(tokens_of(texts[3]), 90) << "round and round";
  EXPECT_NE(texts[3].substr(0, 60), texts[0].substr(0, 60)) << "but with other text";
  EXPECT_EQ(phases[0].conversations[2].turns[0].output_tokens, 7);
  EXPECT_EQ(phases[0].conversations[2].at_s, 4);
}

TEST(Workload, ATraceWithoutBlocksHasItsLengths) {
  WorkloadOptions options{.kind = WorkloadKind::trace, .requests = 3};
  options.trace = small_trace();
  options.trace->block_tokens = 0;
  const auto texts = first_turns(make(options));
  EXPECT_EQ(tokens_of(texts[0]), 90);
  EXPECT_FALSE(texts[0].starts_with(texts[1]));
}

TEST(Workload, ContradictionsAreRefused) {
  const auto refusal = [](const WorkloadOptions& options) {
    return std::string(make_workload(options, word_writer(), 1).status().message());
  };
  EXPECT_THAT(refusal({.kind = WorkloadKind::trace}), HasSubstr("--trace"));
  EXPECT_THAT(refusal({.arrivals = ArrivalKind::trace}), HasSubstr("--trace"));
  EXPECT_THAT(refusal({.kind = WorkloadKind::shared_prefix, .input_tokens = 5, .prefix_tokens = 5}),
              HasSubstr("--prefix"));
}

}  // namespace
}  // namespace bessemer::bench
