// RoPE of one row, for rope() and rope_store_kv().
#pragma once
#include "common/check.h"
#include "kernels/cpu/kernels.h"
#include "worker/backend/backend.h"
#include "worker/backend/host/memory.h"

namespace bessemer::cpu {

class Rotation {
 public:
  Rotation(const RopeTable& table, const RopeParams& p, const Batch& batch)
      : angles_(static_cast<const host::HostRopeTable&>(table)), p_(p), batch_(batch) {
    CHECK(p.rotary_dim == 2 * angles_.pairs() && p.rotary_dim <= p.head_dim);
  }

  void check(const Mat& heads) const {
    CHECK(heads.rows == batch_.rows && heads.cols % p_.head_dim == 0);
  }
  // All heads of a row, by the row's position.
  void turn(const kernels::Kernels& kernels, const Mat& heads, int32_t row) const {
    const int32_t position = batch_.positions.address[row];
    CHECK(position >= 0 && position < angles_.positions());
    kernels.rope(heads.row<float>(row), heads.cols / p_.head_dim, p_.head_dim, angles_.pairs(),
                 p_.interleaved, angles_.cosines(position), angles_.sines(position));
  }

 private:
  const host::HostRopeTable& angles_;
  const RopeParams& p_;
  const Batch& batch_;
};

}  // namespace bessemer::cpu
