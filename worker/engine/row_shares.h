// Divides a step's prompt rows among the prompts that want some.
//
// A priority takes all it wants before the next one gets any. Within it half of the rows are the
// first one's: so everybody comes to an end, whoever else arrives. The other half goes to those who
// want least: a short prompt is not held up by long ones, and of several long ones two get on at a
// time. What is left over is the first one's again.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace bessemer {

struct RowDemand {
  int32_t priority = 0;
  int32_t rows = 0;  // > 0
};

// One share for each, in the order given, which is that of goes_before. Their sum is the least of
// `rows` and of all that is wanted.
std::vector<int32_t> share_rows(std::span<const RowDemand> demands, int32_t rows);

// Whether one more, behind all these, would get any.
bool has_share(std::span<const RowDemand> demands, const RowDemand& one_more, int32_t rows);

}  // namespace bessemer
