#pragma once
#include <cstdint>

namespace bessemer::cpu {

// a / b, rounded up, of a >= 0 and b > 0; the quotient fits.
constexpr int32_t ceil_div(int64_t a, int64_t b) {
  return static_cast<int32_t>((a + b - 1) / b);
}

}  // namespace bessemer::cpu
