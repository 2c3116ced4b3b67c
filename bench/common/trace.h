// Recorded traffic: when requests came, how long they were, what they had in common.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace bessemer::bench {

struct TraceRequest {
  double at_s = 0;
  int input_tokens = 0, output_tokens = 0;
  // Names of the blocks of `Trace::block_tokens` tokens that the prompt consists of; equal names,
  // equal text. Empty where the trace does not tell.
  std::vector<int64_t> blocks;
};

struct Trace {
  std::vector<TraceRequest> requests;  // by arrival
  double quantum_s = 0;  // arrivals were written down in steps of this: their greatest common
                         // divisor
  int block_tokens = 0;  // 0: no blocks
};

// Longer files are refused: the largest public trace of this kind has 150 MB.
constexpr size_t kMaxTraceBytes = 256u << 20;

// Two formats, told apart by the first line. The error names the line.
//   Mooncake (FAST'25): {"timestamp": ms, "input_length", "output_length", "hash_ids": [of blocks
//   of 512 tokens]} a line
//   Azure LLM inference 2023: TIMESTAMP,ContextTokens,GeneratedTokens with a date and 100 ns steps
StatusOr<Trace> parse_trace(std::string_view text);
StatusOr<Trace> read_trace(const std::string& path);

struct TraceScale {
  double time = 1;    // gaps are multiplied by it: 0.1 is ten times as fast
  double length = 1;  // and all lengths by it, blocks too
  int max_input = 0;  // longer prompts are cut, at their end; 0: no limit
  int max_output = 0;
};
// Lengths are at least 1.
Trace scaled(Trace trace, const TraceScale& scale);

}  // namespace bessemer::bench
