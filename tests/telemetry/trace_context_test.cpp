#include "router/telemetry/trace_context.h"

#include <gtest/gtest.h>

namespace bessemer {
namespace {

constexpr const char* kExample = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContext, ReadsTheStandardsExample) {
  const auto context = parse_traceparent(kExample);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_high, 0x0af7651916cd43ddu);
  EXPECT_EQ(context->trace_low, 0x8448eb211c80319cu);
  EXPECT_EQ(context->span, 0xb7ad6b7169203331u);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(render_traceparent(*context), kExample);
}

TEST(TraceContext, OnlyTheSampledFlagIsRead) {
  const std::string head = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";
  EXPECT_FALSE(parse_traceparent(head + "00")->sampled);
  EXPECT_FALSE(parse_traceparent(head + "02")->sampled);
  EXPECT_TRUE(parse_traceparent(head + "ff")->sampled);
}

TEST(TraceContext, NewerVersionsMayBeLonger) {
  const std::string rest = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_TRUE(parse_traceparent("01" + rest));
  EXPECT_TRUE(parse_traceparent("cc" + rest + "-what-the-future-brings"));
  EXPECT_FALSE(parse_traceparent("cc" + rest + ".what"));
  EXPECT_FALSE(parse_traceparent("00" + rest + "-more"));
  EXPECT_FALSE(parse_traceparent("ff" + rest));
}

// One byte wrong anywhere and it is not read.
TEST(TraceContext, IsStrict) {
  const std::string good = kExample;
  for (size_t at = 0; at < good.size(); at++) {
    for (const char wrong : {'g', 'A', ' ', '_'}) {
      std::string bad = good;
      bad[at] = wrong;
      EXPECT_FALSE(parse_traceparent(bad)) << bad;
    }
    EXPECT_FALSE(parse_traceparent(good.substr(0, at)));
  }
  EXPECT_FALSE(parse_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
  EXPECT_FALSE(parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
  EXPECT_FALSE(parse_traceparent(" " + good));
}

TEST(TraceContext, NewOnesDifferAndReadBack) {
  Random random(3);
  const TraceContext one = new_trace(random, 1), other = new_trace(random, 0);
  EXPECT_NE(one.trace_high, other.trace_high);
  EXPECT_TRUE(one.sampled);
  EXPECT_FALSE(other.sampled);
  EXPECT_EQ(parse_traceparent(render_traceparent(one)), one);
  EXPECT_EQ(trace_id_text(one).size(), 32u);
}

TEST(TraceContext, TheRatioIsThatOfTheSampled) {
  Random random(5);
  int sampled = 0;
  for (int i = 0; i < 10'000; i++) sampled += new_trace(random, 0.25).sampled ? 1 : 0;
  EXPECT_NEAR(sampled, 2500, 150);  // three and a half standard deviations
}

}  // namespace
}  // namespace bessemer
