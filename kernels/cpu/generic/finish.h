// The end of every product; include after vec.h.
#pragma once
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

inline void finish(const MatmulArgs& args, int32_t row, int32_t first_output, F acc) {
  const int32_t lanes = args.outputs - first_output;
  float* out = args.out + row * args.out_stride + first_output;
  store_lanes(out, args.bias ? add(acc, load_lanes(args.bias + first_output, lanes)) : acc, lanes);
}

}  // namespace
}  // namespace bessemer::kernels
