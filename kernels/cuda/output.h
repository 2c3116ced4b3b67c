// What is drawn from logits on the device.
#pragma once
#include "kernels/cuda/rows.h"

namespace bessemer::cuda {

// ids[r] = the lowest column with the row's largest value; -1 where the row holds a NaN or +inf, or nothing above -inf.
void largest_columns(int32_t* ids, const ConstRows& rows, cudaStream_t stream);

}  // namespace bessemer::cuda
