// The table of this instruction set. The order of the includes matters: the generic sources are
// written over the lanes of vec.h.
// clang-format off
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/scalar/vec.h"
#include "kernels/cpu/scalar/dots.h"
#include "kernels/cpu/generic/math.h"
#include "kernels/cpu/generic/elementwise.h"
#include "kernels/cpu/generic/attention.h"
#include "kernels/cpu/generic/matmul.h"
#include "kernels/cpu/generic/table.h"
// clang-format on

namespace bessemer::kernels {

const Kernels& scalar_kernels() {
  static constexpr Kernels kTable = make_table("scalar");
  return kTable;
}

}  // namespace bessemer::kernels
