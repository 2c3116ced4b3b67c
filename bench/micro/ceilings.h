// What the machine can do at best, measured: the denominators of every share of the roofline.
#pragma once
#include <cstdint>
#include <string>

namespace bessemer::bench {

struct Ceilings {
  double read_gb_s = 0;    // reading memory far larger than any cache, all threads
  double int8_gop_s = 0;   // products and sums of 8-bit values (2 operations each), all threads
  double f32_gflop_s = 0;  // fused multiply-adds (2 operations each), all threads
};

// `isa`: whose instructions the peaks use ("scalar" has no peaks: 0).
Ceilings measure_ceilings(const std::string& isa, int32_t threads);

}  // namespace bessemer::bench
