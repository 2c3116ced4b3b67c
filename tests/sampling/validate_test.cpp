#include "worker/sampling/validate.h"

#include <cmath>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer {
namespace {

using ::testing::HasSubstr;

std::string error(const SamplingParams& params, std::vector<int32_t> tokens = {},
                  std::vector<float> floats = {}) {
  return std::string(validate_sampling(params, tokens, floats, 100).message());
}

TEST(Validate, DefaultsAreGood) {
  EXPECT_EQ(error({}), "");
}

TEST(Validate, NamesTheScalarThatIsWrong) {
  EXPECT_THAT(error({.temperature = -1}), HasSubstr("temperature is -1"));
  EXPECT_THAT(error({.temperature = NAN}), HasSubstr("temperature"));
  EXPECT_THAT(error({.top_p = 0}), HasSubstr("top_p is 0; it must be above 0"));
  EXPECT_THAT(error({.min_p = 1.5f}), HasSubstr("min_p"));
  EXPECT_THAT(error({.typical_p = NAN}), HasSubstr("typical_p"));
  EXPECT_THAT(error({.top_k = -1}), HasSubstr("top_k"));
  EXPECT_THAT(error({.frequency_penalty = INFINITY}), HasSubstr("frequency_penalty"));
  EXPECT_THAT(error({.presence_penalty = NAN}), HasSubstr("presence_penalty"));
  EXPECT_THAT(error({.repetition_penalty = 0}), HasSubstr("repetition_penalty"));
  EXPECT_THAT(error({.min_tokens = -1}), HasSubstr("min_tokens"));
}

TEST(Validate, NamesTheListThatIsWrong) {
  EXPECT_THAT(error({.stop_ids = {0, 1}}, {100}), HasSubstr("stop_ids: token id 100"));
  EXPECT_THAT(error({.stop_ids = {0, 2}}, {1}), HasSubstr("stop_ids: range"));
  EXPECT_THAT(error({.stop_ids = {-1, 2}}, {1}), HasSubstr("stop_ids: range"));
  EXPECT_THAT(error({.allowed_ids = {0, 1}}, {-1}), HasSubstr("allowed_ids: token id -1"));
  EXPECT_THAT(error({.bias_ids = {0, 1}, .bias = {0, 1}}, {5}, {NAN}), HasSubstr("logit_bias"));
  EXPECT_THAT(error({.bias_ids = {0, 1}}, {5}), HasSubstr("1 ids and 0 values"));
}

TEST(Validate, BannedSequencesMustBeWhole) {
  EXPECT_EQ(error({.banned = {0, 5}}, {2, 7, 8, 1, 9}), "");
  EXPECT_THAT(error({.banned = {0, 2}}, {2, 7}), HasSubstr("banned: a sequence of 2 ids"));
  EXPECT_THAT(error({.banned = {0, 1}}, {0}), HasSubstr("banned"));
  EXPECT_THAT(error({.banned = {0, 2}}, {1, 200}), HasSubstr("banned: token id 200"));
}

}  // namespace
}  // namespace bessemer
