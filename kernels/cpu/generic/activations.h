// Where the parts of a quantised row of activations lie (layout.h).
#pragma once
#include "kernels/cpu/layout.h"

namespace bessemer::kernels {
namespace {

// Of a row in the making (std::byte) or a finished one (const std::byte).
inline int8_t* quants_of(std::byte* row) {
  return reinterpret_cast<int8_t*>(row);
}
inline const int8_t* quants_of(const std::byte* row) {
  return reinterpret_cast<const int8_t*>(row);
}
inline ActivationBlock* blocks_of(std::byte* row, int32_t depth) {
  return reinterpret_cast<ActivationBlock*>(row + depth);
}
inline const ActivationBlock* blocks_of(const std::byte* row, int32_t depth) {
  return reinterpret_cast<const ActivationBlock*>(row + depth);
}
inline Outlier* outliers_of(std::byte* row, int32_t depth) {
  return reinterpret_cast<Outlier*>(blocks_of(row, depth) + depth / kBlock);
}
inline const Outlier* outliers_of(const std::byte* row, int32_t depth) {
  return reinterpret_cast<const Outlier*>(blocks_of(row, depth) + depth / kBlock);
}

}  // namespace
}  // namespace bessemer::kernels
