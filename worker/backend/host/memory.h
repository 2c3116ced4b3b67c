// What backends share: host memory, uploaded steps, tables of positions, checks of what they are given.
#pragma once
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "worker/backend/batch.h"
#include "worker/backend/kv.h"
#include "worker/backend/mat.h"
#include "worker/backend/weight.h"

namespace bessemer::host {

// One cache line, and one AVX-512 register.
constexpr size_t kAlignment = 64;

constexpr size_t round_up(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct Free {
  void operator()(void* address) const { std::free(address); }
};
template <typename T>
using Array = std::unique_ptr<T[], Free>;

// `count` values aligned to kAlignment with at least that many spare bytes behind them; nullptr:
// out of memory. Pages are untouched: whoever writes first decides their NUMA node.
template <typename T>
Array<T> allocate_array(size_t count) {
  const size_t bytes = round_up(count * sizeof(T) + kAlignment);
  return Array<T>(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
}

class HostBuffer final : public Buffer {
 public:
  // Zeroed; ResourceExhausted names the size.
  static StatusOr<std::unique_ptr<Buffer>> make(size_t bytes);

  size_t size_bytes() const override { return size_bytes_; }
  std::byte* address() override { return bytes_.get(); }
  void read(size_t offset, std::span<std::byte> to) override;
  void write(size_t offset, std::span<const std::byte> from) override;

 private:
  HostBuffer(Array<std::byte> bytes, size_t size_bytes)
      : bytes_(std::move(bytes)), size_bytes_(size_bytes) {}
  Array<std::byte> bytes_;
  size_t size_bytes_;
};

// CHECKs that the arrays of a step fit each other.
void check_step(const StepInputs& inputs);

// Copies of the inputs of the last kStepsInFlight steps, so that a Batch stays readable while the
// next one is prepared.
class StepRing {
 public:
  static constexpr size_t kStepsInFlight = 2;
  // Fills `batch` with handles that stay valid until the call after next.
  void upload(const StepInputs& inputs, Batch& batch);

 private:
  std::array<StepInputs, kStepsInFlight> slots_;
  size_t next_ = 0;
};

// [positions][pairs] of cosines, then of sines, f32.
class HostRopeTable final : public RopeTable {
 public:
  // ResourceExhausted names the size.
  static StatusOr<RopeTablePtr> make(std::span<const double> inverse_frequencies,
                                     int32_t max_positions, float attention_factor);

  int32_t pairs() const { return pairs_; }
  int32_t positions() const { return positions_; }
  const float* cosines(int32_t position) const { return at(cosines_, position); }
  const float* sines(int32_t position) const { return at(sines_, position); }

 private:
  const float* at(const Array<float>& table, int32_t position) const {
    return table.get() + static_cast<ptrdiff_t>(position) * pairs_;
  }
  int32_t pairs_ = 0, positions_ = 0;
  Array<float> cosines_, sines_;
};

// Refuses layouts that no backend can hold: unknown groups, bad shares, other dtypes than f32,
// f16, bf16 and i8.
Status check_kv_layout(const KvLayout& layout);
// Refuses parts whose bytes, columns or bias do not fit; returns the rows of all parts together.
StatusOr<int32_t> check_parts(std::span<const WeightPart> parts);

}  // namespace bessemer::host
