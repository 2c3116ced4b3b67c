// The checker tells each failure by its name: a harness that cannot fail proves nothing.
#include <set>

#include <gtest/gtest.h>

#include "tests/failover/answer_checker.h"

namespace bessemer::failover {
namespace {

class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest() {
    plan_.prompt = {300, 301, 302};
    plan_.sampling.seed = 7;
    plan_.sampling.max_tokens = 40;
    plan_.right = {mock_answer(model_, plan_.sampling, 0, plan_.prompt)};
  }

  static std::string event(const std::string& text, const std::string& reason = "") {
    const std::string end = reason.empty() ? "null" : '"' + reason + '"';
    return R"(data: {"choices":[{"index":0,"text":")" + text + R"(","finish_reason":)" + end +
           "}]}\n\n";
  }
  static std::string usage(size_t prompt, size_t generated) {
    return R"(data: {"choices":[],"usage":{"prompt_tokens":)" + std::to_string(prompt) +
           R"(,"completion_tokens":)" + std::to_string(generated) + "}}\n\n";
  }
  // The texts of tokens [from, to) of the right answer.
  std::string part(size_t from, size_t to) const {
    const auto& ids = plan_.right[0].ids;
    return text_of({ids.begin() + static_cast<std::ptrdiff_t>(from),
                    ids.begin() + static_cast<std::ptrdiff_t>(to)});
  }
  Checked check(const std::string& body, int status = 200,
                AnswerChecker::End end = AnswerChecker::End::whole) {
    AnswerChecker checker(plan_, TimePoint{});
    checker.take(status, body, TimePoint{} + std::chrono::seconds(1));
    return checker.finish(end);
  }
  Verdict verdict(const std::string& texts) {
    return check(texts + event("", "length") + usage(3, 40) + "data: [DONE]\n\n").verdict;
  }

  MockModel model_;
  StreamPlan plan_;
};

TEST_F(CheckerTest, AWholeAnswerIsRight) {
  ASSERT_EQ(plan_.right[0].ids.size(), 40u);
  EXPECT_EQ(verdict(event(part(0, 11)) + event(part(11, 40))), Verdict::right);
}

TEST_F(CheckerTest, MissingTokensAreLostWhereverTheyWere) {
  EXPECT_EQ(verdict(event(part(0, 39))), Verdict::lost);
  EXPECT_EQ(verdict(event(part(0, 11)) + event(part(12, 40))), Verdict::lost);
  EXPECT_EQ(verdict(event(part(1, 40))), Verdict::lost);
}

TEST_F(CheckerTest, TokensThatComeAgainAreRepeated) {
  EXPECT_EQ(verdict(event(part(0, 11)) + event(part(4, 40))), Verdict::repeated);
  EXPECT_EQ(verdict(event(part(0, 20)) + event(part(0, 40))), Verdict::repeated);
}

TEST_F(CheckerTest, OtherTokensAreWrong) {
  EXPECT_EQ(verdict(event(part(0, 11)) + event("1,2,3,4,5,6,7,8,9,10,11,12,")), Verdict::wrong);
}

TEST_F(CheckerTest, EndsAndCountsMatter) {
  const std::string all = event(part(0, 40));
  EXPECT_EQ(check(all + event("", "stop") + usage(3, 40) + "data: [DONE]\n\n").verdict,
            Verdict::wrong);
  EXPECT_EQ(check(all + event("", "length") + usage(3, 41) + "data: [DONE]\n\n").verdict,
            Verdict::wrong);
  EXPECT_EQ(check(all + event("", "length") + usage(43, 40) + "data: [DONE]\n\n").verdict,
            Verdict::wrong);
  EXPECT_EQ(verdict(all + event("", "length") + event(part(0, 1))), Verdict::wrong);
}

TEST_F(CheckerTest, AnswersThatDoNotEnd) {
  const std::string begun = event(part(0, 11));
  EXPECT_EQ(check(begun).verdict, Verdict::truncated);
  EXPECT_EQ(check(begun, 200, AnswerChecker::End::cut).verdict, Verdict::truncated);
  EXPECT_EQ(check(begun, 200, AnswerChecker::End::timed_out).verdict, Verdict::hung);
}

TEST_F(CheckerTest, ErrorsAndRefusals) {
  const std::string error = R"({"error":{"message":"the worker was lost","code":null}})";
  EXPECT_EQ(check(event(part(0, 11)) + "data: " + error + "\n\ndata: [DONE]\n\n").verdict,
            Verdict::broken);
  EXPECT_EQ(check(error, 503).verdict, Verdict::refused);
  EXPECT_EQ(check(R"({"error":{"message":"this request is poison"}})", 500).verdict,
            Verdict::poisoned);
}

TEST_F(CheckerTest, WholeAnswersAreCheckedAsStreamsAre) {
  plan_.streamed = false;
  const auto body = [&](const std::string& text) {
    return R"({"choices":[{"index":0,"finish_reason":"length","text":")" + text +
           R"("}],"usage":{"prompt_tokens":3,"completion_tokens":40}})";
  };
  EXPECT_EQ(check(body(part(0, 40))).verdict, Verdict::right);
  EXPECT_EQ(check(body(part(0, 39))).verdict, Verdict::lost);
  EXPECT_EQ(check("", 200, AnswerChecker::End::cut).verdict, Verdict::truncated);
}

TEST_F(CheckerTest, TheLongestGapIsMeasuredFromTheRequestOn) {
  AnswerChecker checker(plan_, TimePoint{});
  checker.take(200, event(part(0, 11)), TimePoint{} + std::chrono::milliseconds(100));
  checker.take(200, event(part(11, 40)), TimePoint{} + std::chrono::milliseconds(600));
  EXPECT_DOUBLE_EQ(checker.finish(AnswerChecker::End::whole).longest_gap_s, 0.5);
}

TEST(Plans, FollowFromTheirSeedAndDiffer) {
  const MockModel model;
  std::set<std::string> bodies;
  size_t penalised = 0, several = 0;
  for (uint64_t i = 0; i < 100; i++) {
    const StreamPlan plan = make_plan(model, 5, i);
    EXPECT_EQ(body_of(plan, "m"), body_of(make_plan(model, 5, i), "m"));
    bodies.insert(body_of(plan, "m"));
    penalised += plan.sampling.penalised ? 1 : 0;
    several += plan.sampling.choices > 1 ? 1 : 0;
  }
  EXPECT_EQ(bodies.size(), 100u);
  EXPECT_GT(penalised, 10u);
  EXPECT_GT(several, 5u);
}

}  // namespace
}  // namespace bessemer::failover
