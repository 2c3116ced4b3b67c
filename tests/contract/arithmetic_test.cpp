// The bits of cpu-a8x32-v2, from the words of worker/backend/README.md and the blocks of the file:
// whatever becomes of the storage of weights, products keep them.
#include <algorithm>
#include <array>
#include <cmath>

#include "tests/contract/harness.h"
#include "tests/contract/weights.h"
#include "worker/backend/cpu/unpack.h"
#include "worker/format/dequantize.h"

namespace bessemer {
namespace {

using kernels::kBlock;
using kernels::TileFormat;

using ArithmeticTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Cpu, ArithmeticTest, testing::ValuesIn(cpu_subjects()), test_name);

struct Weights {
  std::array<int, kBlock> quants;        // less their offset
  std::array<float, kBlock> scale, min;  // of each quant's group
};

template <TileFormat kFormat>
Weights weights_of(const RawWeight& raw, int32_t row, int32_t index) {
  using Traits = kernels::TileTraits<kFormat>;
  const TensorTypeTraits& file = traits_of(raw.type);
  const int32_t per_block = file.block_values / kBlock;
  const auto* bytes = reinterpret_cast<const uint8_t*>(raw.bytes.data()) +
                      row_bytes(raw.type, raw.cols) * static_cast<size_t>(row) +
                      static_cast<ptrdiff_t>(index / per_block) * file.block_bytes;
  cpu::WeightBlock block = {};
  cpu::unpack_into<kFormat>(bytes, static_cast<size_t>(index % per_block), block);
  const float d = half_to_float(block.d), dmin = half_to_float(block.min);
  Weights out;
  for (size_t k = 0; k < kBlock; ++k) {
    const size_t g = k * Traits::kGroups / kBlock;
    const int quant = Traits::kBits == 8 ? static_cast<int8_t>(block.quants[k]) : block.quants[k];
    out.quants[k] = quant - Traits::kOffset;
    out.scale[k] =
        Traits::kSuper ? d * static_cast<float>(static_cast<int8_t>(block.scales[g])) : d;
    out.min[k] = Traits::kSuper ? dmin * static_cast<float>(block.mins[g]) : dmin;
  }
  return out;
}

struct Inputs {
  std::array<int, kBlock> q;
  float scale = 0;
  int outlier = -1;
};

Inputs quantise(std::span<const float> x) {
  const auto largest = [&](int without) {
    float found = 0;
    for (int k = 0; k < kBlock; ++k) {
      if (k != without) found = std::max(found, std::abs(x[static_cast<size_t>(k)]));
    }
    return found;
  };
  float magnitude = largest(-1);
  Inputs out;
  const auto reaches = [&](float v) { return std::abs(v) >= magnitude / 3.0f; };
  if (std::ranges::count_if(x, reaches) == 1) {
    out.outlier = static_cast<int>(std::ranges::find_if(x, reaches) - x.begin());
    magnitude = largest(out.outlier);
  }
  out.scale = magnitude / 127.0f;
  for (int k = 0; k < kBlock; ++k) {
    const float v = k == out.outlier ? 0.0f : x[static_cast<size_t>(k)];
    out.q[static_cast<size_t>(k)] = static_cast<int>(std::nearbyint(v * (127.0f / magnitude)));
  }
  return out;
}

// The steps of a block behind its integer products.
template <typename Traits>
float add_groups(const Weights& w, const Inputs& x, float acc) {
  constexpr size_t kEach = kBlock / Traits::kGroups;
  for (size_t begin = 0; begin < kBlock; begin += kEach) {
    int dot = 0, sum = 0;
    for (size_t k = begin; k < begin + kEach; ++k) {
      dot += w.quants[k] * x.q[k];
      sum += x.q[k];
    }
    acc = std::fma(static_cast<float>(dot), w.scale[begin] * x.scale, acc);
    if (Traits::kMin) acc = std::fma(w.min[begin], x.scale * static_cast<float>(sum), acc);
  }
  return acc;
}

template <TileFormat kFormat>
float product(const RawWeight& raw, int32_t row, std::span<const float> x) {
  using Traits = kernels::TileTraits<kFormat>;
  float acc = 0;
  const auto inputs = [&](int32_t b) { return x.subspan(static_cast<size_t>(b * kBlock), kBlock); };
  for (int32_t b = 0; b < raw.cols / kBlock; ++b) {
    acc = add_groups<Traits>(weights_of<kFormat>(raw, row, b), quantise(inputs(b)), acc);
  }
  for (int32_t b = 0; b < raw.cols / kBlock; ++b) {
    const int outlier = quantise(inputs(b)).outlier;
    if (outlier < 0) continue;
    const auto k = static_cast<size_t>(outlier);
    const Weights w = weights_of<kFormat>(raw, row, b);
    const auto quant = static_cast<float>(w.quants[k]);
    const float weight = Traits::kMin ? std::fma(w.scale[k], quant, w.min[k]) : w.scale[k] * quant;
    acc = std::fma(weight, inputs(b)[k], acc);
  }
  return acc + raw.bias[static_cast<size_t>(row)];
}

template <TileFormat kFormat>
void check(Backend& backend, TensorType type, Random& random) {
  constexpr int32_t kOutputs = 37, kRows = 21;
  // Legacy formats: also a number of blocks that fills no unit.
  const int32_t cols = traits_of(type).block_values == kBlock ? 7 * kBlock : 512;
  const RawWeight raw = random_weight(random, type, kOutputs, cols, true);
  const WeightPart part = raw.part();
  const WeightPtr weight = *backend.pack({&part, 1});
  Matrix x(backend, kRows, cols), out(backend, kRows, kOutputs);
  x.fill(random, 1.0f);
  for (int32_t r = 0; r < kRows; r += 2) x.at(r, r * 7) = -40.0f;
  std::vector<float> want;
  for (int32_t r = 0; r < kRows; ++r) {
    const std::span row(&x.at(r, 0), static_cast<size_t>(cols));
    for (int32_t o = 0; o < kOutputs; ++o) want.push_back(product<kFormat>(raw, o, row));
  }
  run(backend, [&] { backend.linear(out.mat(), x.mat(), *weight); });
  EXPECT_TRUE(same_bits(out.values(), want)) << traits_of(type).name;
}

TEST_P(ArithmeticTest, ProductsHaveTheBitsOfTheirDescription) {
  check<TileFormat::q4_0>(*subject_, TensorType::q4_0, random_);
  check<TileFormat::q4_1>(*subject_, TensorType::q4_1, random_);
  check<TileFormat::q5_0>(*subject_, TensorType::q5_0, random_);
  check<TileFormat::q5_1>(*subject_, TensorType::q5_1, random_);
  check<TileFormat::q8_0>(*subject_, TensorType::q8_0, random_);
  check<TileFormat::q2_k>(*subject_, TensorType::q2_k, random_);
  check<TileFormat::q3_k>(*subject_, TensorType::q3_k, random_);
  check<TileFormat::q4_k>(*subject_, TensorType::q4_k, random_);
  check<TileFormat::q5_k>(*subject_, TensorType::q5_k, random_);
  check<TileFormat::q6_k>(*subject_, TensorType::q6_k, random_);
}

// A weight takes the bytes that the table of the README says: no more than its file's but for Q3_K.
TEST_P(ArithmeticTest, WeightsAreAsLargeAsTheirFile) {
  for (const TensorType type : kAllTypes) {
    const RawWeight raw = random_weight(random_, type, 64, 1024);
    const WeightPart part = raw.part();
    const double bits = 8.0 / (64 * 1024);
    const double packed = static_cast<double>((*subject_->pack({&part, 1}))->size_bytes()) * bits;
    const double file = static_cast<double>(raw.bytes.size()) * bits;
    EXPECT_EQ(packed, type == TensorType::q3_k ? 3.5625 : file) << traits_of(type).name;
  }
}

}  // namespace
}  // namespace bessemer
