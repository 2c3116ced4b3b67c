// What one client asks for and what it must get: both follow from a seed, and the right answer from
// the prompt alone (mock_writer.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/mock_worker/mock_writer.h"

namespace bessemer::failover {

struct StreamPlan {
  uint64_t number = 0;
  std::vector<uint32_t> prompt;
  MockSampling sampling;
  bool streamed = true;
  std::vector<MockAnswer> right;  // by choice
};

// Some with several choices, penalties, min_tokens, stop ids, or no stream; prompts of up to 400
// tokens, many of them with a beginning that others have too.
StreamPlan make_plan(const MockModel& model, uint64_t seed, uint64_t number);

// The body of POST /v1/completions.
std::string body_of(const StreamPlan& plan, const std::string& model);

// "12,7,999,": what the mock's ids are as text.
std::string text_of(const std::vector<uint32_t>& ids);

}  // namespace bessemer::failover
