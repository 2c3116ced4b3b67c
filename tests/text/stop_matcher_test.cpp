#include "router/text/stop_matcher.h"

#include <gtest/gtest.h>

#include "tests/text/random_text.h"

namespace bessemer {
namespace {

using Stops = std::vector<std::string>;

struct Outcome {
  std::string text;
  int matched = -1;
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << '"' << outcome.text << "\" " << outcome.matched;
}

// By definition: the first end of any stop string; of those that end there, the longest, of equal
// ones the first given.
Outcome naive(const Stops& stops, bool include, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    int best = -1;
    for (size_t i = 0; i < stops.size(); ++i) {
      if (!text.substr(0, end).ends_with(stops[i])) continue;
      if (best < 0 || stops[i].size() > stops[static_cast<size_t>(best)].size())
        best = static_cast<int>(i);
    }
    if (best >= 0)
      return {text.substr(0, end - (include ? 0 : stops[static_cast<size_t>(best)].size())), best};
  }
  return {text, -1};
}

// The longest end of `text` that may still become a stop string.
size_t naive_hold(const Stops& stops, const std::string& text) {
  for (size_t length = text.size(); length > 0; --length) {
    for (const std::string& stop : stops) {
      if (stop.starts_with(text.substr(text.size() - length))) return length;
    }
  }
  return 0;
}

Outcome stream(const Stops& stops, bool include, const std::vector<std::string>& parts) {
  StopMatcher matcher(stops, include);
  Outcome outcome;
  std::string pushed;
  for (const std::string& part : parts) {
    const StopMatcher::Result result = matcher.push(part);
    outcome.text += result.text;
    pushed += part;
    if (result.matched >= 0) return {outcome.text, result.matched};
    EXPECT_EQ(outcome.text.size(), pushed.size() - naive_hold(stops, pushed)) << pushed;
  }
  outcome.text += matcher.flush();
  return outcome;
}

TEST(StopMatcher, EqualsTheDefinitionHoweverTheTextIsCut) {
  test::Rng rng(13);
  for (int round = 0; round < 20000; ++round) {
    Stops stops(1 + test::below(rng, 4));
    for (std::string& stop : stops)
      stop = test::random_string_of(rng, "ab", 5) + "ab"[test::below(rng, 2)];
    const std::string text = test::random_string_of(rng, "aabc", 40);
    const bool include = round % 2 == 0;
    ASSERT_EQ(stream(stops, include, test::random_cuts(rng, text, 5)), naive(stops, include, text))
        << text;
  }
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher matcher({"\n\nUser:", "</s>"}, false);
  EXPECT_EQ(matcher.push("Hello <").text, "Hello ");
  EXPECT_EQ(matcher.push("b>\n").text, "<b>");
  EXPECT_EQ(matcher.push("\n").text, "");
  EXPECT_EQ(matcher.push("\nU").text, "\n");
  const StopMatcher::Result end = matcher.push("ser: more");
  EXPECT_EQ(end.text, "");
  EXPECT_EQ(end.matched, 0);
}

TEST(StopMatcher, IncludesTheStopWhenAsked) {
  StopMatcher matcher({"END"}, true);
  const StopMatcher::Result end = matcher.push("the END of");
  EXPECT_EQ(end.text, "the END");
  EXPECT_EQ(end.matched, 0);
}

TEST(StopMatcher, FlushGivesWhatWasHeld) {
  StopMatcher matcher({"abc"}, false);
  EXPECT_EQ(matcher.push("xab").text, "x");
  EXPECT_EQ(matcher.flush(), "ab");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.push("anything").text, "anything");
}

TEST(StopMatcher, HeldTextEndsAtCharacterBorders) {
  StopMatcher matcher({"é中!"}, false);
  EXPECT_EQ(matcher.push("aé").text, "a");
  EXPECT_EQ(matcher.push("中x").text, "é中x");
}

// Borders keep this linear; without them it is 10^10 steps.
TEST(StopMatcher, LongStopTakesLinearTime) {
  StopMatcher matcher({std::string(100'000, 'a') + "b"}, false);
  size_t sent = 0;
  for (int i = 0; i < 100; ++i) sent += matcher.push(std::string(5'000, 'a')).text.size();
  EXPECT_EQ(sent, 400'000U);
}

}  // namespace
}  // namespace bessemer
