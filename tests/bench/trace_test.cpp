#include "bench/common/trace.h"

#include <filesystem>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Trace, ReadsMooncake) {
  const StatusOr<Trace> trace = parse_trace(
      R"({"timestamp": 6000, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]}
{"timestamp": 3000, "input_length": 10, "output_length": 2, "hash_ids": [4]}

{"timestamp": 9000, "input_length": 1, "output_length": 1, "hash_ids": []})");
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_EQ(trace->requests[0].at_s, 0);
  EXPECT_EQ(trace->requests[0].input_tokens, 10) << "by arrival";
  EXPECT_EQ(trace->requests[1].at_s, 3);
  EXPECT_THAT(trace->requests[1].blocks, ElementsAre(0, 1));
  EXPECT_EQ(trace->quantum_s, 3) << "the greatest common divisor of its times";
  EXPECT_EQ(trace->block_tokens, 512);
}

TEST(Trace, ReadsAzureOverMidnight) {
  const StatusOr<Trace> trace = parse_trace(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-12-31 23:59:59.5000000,374,44\r\n"
      "2024-01-01 00:00:01.2500000,396,109");
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->requests.size(), 2u);
  EXPECT_DOUBLE_EQ(trace->requests[1].at_s, 1.75);
  EXPECT_EQ(trace->requests[1].input_tokens, 396);
  EXPECT_EQ(trace->requests[1].output_tokens, 109);
  EXPECT_THAT(trace->requests[1].blocks, IsEmpty());
  EXPECT_EQ(trace->block_tokens, 0);
}

TEST(Trace, ErrorsNameTheLine) {
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "neither"},
           {"time,tokens\n1,2\n", "neither"},
           {azure, "without requests"},
           {azure + "2023-11-16 18:15:46.6805900,374,44\n2023-13-16 18:15:46.6805900,1,1\n",
            "line 3"},
           {azure + "2023-11-16 18:15:46.6805900,374\n", "line 2"},
           {azure + "2023-11-16 18:15:46.6805900,-1,2\n", "line 2"},
           {azure + "2023-11-16 18:15:46.6805900,1,2x\n", "line 2"},
           {azure + "yesterday,1,2\n", "line 2"},
           {"{\"timestamp\": 0}\n", "line 1"},
           {"{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": 1}",
            "line 1"},
           {"{\"timestamp\": 0, \"input_length\": -1, \"output_length\": 1, \"hash_ids\": []}",
            "line 1"},
           {"{", "line 1"}}) {
    const StatusOr<Trace> trace = parse_trace(text);
    ASSERT_FALSE(trace.ok()) << text;
    EXPECT_THAT(std::string(trace.status().message()), HasSubstr(part)) << text;
  }
  EXPECT_THAT(std::string(read_trace("/no/trace").status().message()), HasSubstr("/no/trace"));
}

TEST(Trace, IsScaled) {
  Trace trace;
  trace.requests = {{.at_s = 4, .input_tokens = 1000, .output_tokens = 300, .blocks = {}},
                    {.at_s = 8, .input_tokens = 2, .output_tokens = 1, .blocks = {}}};
  trace.quantum_s = 2;
  trace.block_tokens = 512;
  const Trace small =
      scaled(trace, {.time = 0.5, .length = 0.25, .max_input = 200, .max_output = 80});
  EXPECT_EQ(small.requests[0].at_s, 2);
  EXPECT_EQ(small.requests[0].input_tokens, 200);
  EXPECT_EQ(small.requests[0].output_tokens, 75);
  EXPECT_EQ(small.requests[1].input_tokens, 1) << "never nothing";
  EXPECT_EQ(small.quantum_s, 1);
  EXPECT_EQ(small.block_tokens, 128);
}

class PublicTrace : public testing::Test {
 protected:
  static StatusOr<Trace> read(const std::string& name) {
    return read_trace("../shared/data/traces/" + name);
  }
  void SetUp() override {
    if (!std::filesystem::exists("../shared/data/traces"))
      GTEST_SKIP() << "../shared/data/traces is missing";
  }
};

// The counts and the ideal hit rate that the data's page states.
TEST_F(PublicTrace, Mooncake) {
  const StatusOr<Trace> trace = read("mooncake_synthetic.jsonl");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->requests.size(), 3993u);
  std::set<int64_t> seen;
  double blocks = 0, hits = 0;
  for (const TraceRequest& request : trace->requests) {
    for (const int64_t block : request.blocks) hits += seen.insert(block).second ? 0 : 1;
    blocks += static_cast<double>(request.blocks.size());
  }
  EXPECT_NEAR(hits / blocks, 0.64, 0.03);
}

TEST_F(PublicTrace, Azure) {
  const StatusOr<Trace> trace = read("azure_conv_2023.csv");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->requests.size(), 19366u);
  EXPECT_NEAR(trace->requests.back().at_s, 3501.72, 0.01) << "18:15:46.68 to 19:14:08.40";
}

}  // namespace
}  // namespace bessemer::bench
