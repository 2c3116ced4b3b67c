// Products with weights of every format, against sums in double.
#include <algorithm>
#include <cmath>

#include "tests/contract/harness.h"
#include "tests/contract/weights.h"

namespace bessemer {
namespace {

using LinearTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, LinearTest, testing::ValuesIn(subjects()), test_name);

// The two largest magnitudes of a block, and where the first is.
struct Largest {
  explicit Largest(std::span<const float> block) {
    for (size_t i = 0; i < block.size(); ++i) {
      const float size = std::abs(block[i]);
      if (size > first) {
        second = first;
        first = size;
        at = i;
      } else {
        second = std::max(second, size);
      }
    }
  }
  float first = 0, second = 0;
  size_t at = 0;
};

// What the cpu backend makes of a block: int8 but for an outlier, so that what is left to compare
// is the order of its float operations.
void round_block(std::span<const float> block, std::span<double> out) {
  const Largest largest(block);
  const bool outlier = largest.second < largest.first / 3.0f;
  const float magnitude = outlier ? largest.second : largest.first;
  const float scale = magnitude / 127.0f;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool whole = outlier && i == largest.at;
    out[i] = whole ? static_cast<double>(block[i])
             : magnitude == 0
                 ? 0.0
                 : std::nearbyint(block[i] * (127.0f / magnitude)) * static_cast<double>(scale);
  }
}

std::vector<double> as_int8(std::span<const float> row) {
  std::vector<double> out(row.size());
  for (size_t b = 0; b < row.size(); b += 32) {
    round_block(row.subspan(b, 32), std::span(out).subspan(b, 32));
  }
  return out;
}

struct Sum {
  double value = 0, magnitude = 0;  // of the terms
};

Sum dot(std::span<const float> w, std::span<const double> x, float bias) {
  Sum sum{bias, std::abs(bias)};
  for (size_t k = 0; k < w.size(); ++k) {
    sum.value += static_cast<double>(w[k]) * x[k];
    sum.magnitude += std::abs(static_cast<double>(w[k]) * x[k]);
  }
  return sum;
}

// Each term takes part in at most `depth` roundings, each of at most one unit of the terms'
// magnitudes. Formats with a minimum sum d q and m apart, each up to twice as large as the value,
// hence the factor. Factors that are rounded beforehand make each term off by that much more.
double tolerance(const Sum& sum, int32_t depth, double factor_error) {
  return (4 * (depth + 4) * kUnit + factor_error) * sum.magnitude + 1e-30;
}

void check_rows(const Matrix& out, int32_t first_output, const Matrix& x, const RawWeight& raw,
                bool int8, double factor_error) {
  const std::vector<float> w = raw.values();
  const auto cols = static_cast<size_t>(raw.cols);
  for (int32_t r = 0; r < x.rows(); ++r) {
    const std::span<const float> row(&x.at(r, 0), cols);
    const std::vector<double> input =
        int8 ? as_int8(row) : std::vector<double>(row.begin(), row.end());
    for (int32_t o = 0; o < raw.rows; ++o) {
      const auto i = static_cast<size_t>(o);
      const Sum want =
          dot(std::span(w).subspan(i * cols, cols), input, raw.bias.empty() ? 0.0f : raw.bias[i]);
      ASSERT_NEAR(out.at(r, first_output + o), want.value, tolerance(want, raw.cols, factor_error))
          << traits_of(raw.type).name << " " << raw.rows << "x" << raw.cols << ", row " << r
          << ", output " << o;
    }
  }
}

TEST_P(LinearTest, EveryFormatAndOddSizes) {
  for (const TensorType type : kAllTypes) {
    const int32_t block = traits_of(type).block_values;
    for (const int32_t outputs : {1, 2, 15, 16, 17, 100}) {
      const int32_t cols = block == 1 ? 37 + outputs : block * (1 + outputs % 3);
      const RawWeight raw = random_weight(random_, type, outputs, cols, outputs % 2 == 0);
      const WeightPart part = raw.part();
      WeightPtr weight = *subject_->pack({&part, 1});
      ASSERT_EQ(weight->out_features(), outputs);
      ASSERT_EQ(weight->in_features(), cols);
      for (const int32_t rows : {0, 1, 2, 3, 7, 8, 33}) {
        Matrix x(*subject_, rows, cols, 3), out(*subject_, rows, outputs, 5);
        x.fill(random_, 1.0f);
        run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
        // A single output is computed in floats by every backend.
        check_rows(out, 0, x, raw, GetParam().int8_rows && !is_float_type(type) && outputs > 1,
                   GetParam().factor_error);
        ASSERT_TRUE(out.gap_untouched());
      }
    }
  }
}

// Whole blocks and tiles of every form, on both sides of the numbers of rows at which backends take
// other kernels.
TEST_P(LinearTest, EveryFormatAndManyRowCounts) {
  for (const TensorType type : kAllTypes) {
    const RawWeight raw = random_weight(random_, type, 40, 512, true);
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    for (const int32_t rows : {1, 5, 8, 9, 16, 17, 32, 64, 65}) {
      Matrix x(*subject_, rows, 512), out(*subject_, rows, 40);
      x.fill(random_, 1.0f);
      run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
      check_rows(out, 0, x, raw, GetParam().int8_rows && !is_float_type(type),
                 GetParam().factor_error);
    }
  }
}

TEST_P(LinearTest, PartsOfDifferentFormatsAreStacked) {
  const RawWeight raws[] = {random_weight(random_, TensorType::q4_k, 40, 512, true),
                            random_weight(random_, TensorType::q6_k, 24, 512),
                            random_weight(random_, TensorType::f16, 9, 512, true),
                            random_weight(random_, TensorType::q8_0, 16, 512)};
  std::vector<WeightPart> parts;
  for (const RawWeight& raw : raws) parts.push_back(raw.part());
  WeightPtr weight = *subject_->pack(parts);
  ASSERT_EQ(weight->out_features(), 89);
  Matrix x(*subject_, 6, 512), out(*subject_, 6, 89);
  x.fill(random_, 2.0f);
  run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
  int32_t first = 0;
  for (const RawWeight& raw : raws) {
    check_rows(out, first, x, raw, GetParam().int8_rows && !is_float_type(raw.type),
               GetParam().factor_error);
    first += raw.rows;
  }
}

// Every input in turn, of every format, as the one large value of its block; and so large that its
// neighbours would be lost if it set their scale.
TEST_P(LinearTest, OutliersKeepTheirNeighbours) {
  for (const TensorType type : kAllTypes) {
    if (is_float_type(type)) continue;
    const RawWeight raw = random_weight(random_, type, 20, 256, true);
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    Matrix x(*subject_, 64, 256), out(*subject_, 64, 20);
    x.fill(random_, 1.0f);
    for (int32_t row = 0; row < x.rows(); ++row) {
      for (int32_t c = row % 32; c < 256; c += row < 32 ? 32 : 96) {
        x.at(row, c) = c % 2 ? 300.0f : -300.0f;
      }
    }
    run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
    check_rows(out, 0, x, raw, GetParam().int8_rows, GetParam().factor_error);
  }
}

// More rows than any workspace holds at once.
TEST_P(LinearTest, ManyRows) {
  const RawWeight raw = random_weight(random_, TensorType::q4_1, 32, 64);
  const WeightPart part = raw.part();
  WeightPtr weight = *subject_->pack({&part, 1});
  Matrix x(*subject_, 700, 64), out(*subject_, 700, 32);
  x.fill(random_, 1.0f);
  run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
  check_rows(out, 0, x, raw, GetParam().int8_rows, GetParam().factor_error);
}

// Zero rows of activations, the largest quants of both signs, huge and tiny values: nothing may
// saturate or overflow.
TEST_P(LinearTest, ExtremeValues) {
  for (const TensorType type :
       {TensorType::q4_0, TensorType::q4_1, TensorType::q5_0, TensorType::q8_0, TensorType::q6_k}) {
    RawWeight raw = random_weight(random_, type, 16, 256);
    const auto block = static_cast<size_t>(traits_of(type).block_bytes);
    for (size_t i = 0; i < raw.bytes.size(); ++i) {
      const bool scale = type == TensorType::q6_k ? i % block >= 192
                                                  : i % block < (type == TensorType::q4_1 ? 4 : 2);
      if (!scale) raw.bytes[i] = i / 512 % 2 ? std::byte{0xff} : std::byte{0x80};
    }
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    Matrix x(*subject_, 5, 256), out(*subject_, 5, 16);
    for (int32_t c = 0; c < 256; ++c) {
      x.at(0, c) = 0.0f;
      x.at(1, c) = 1.0f;
      x.at(2, c) = c % 2 ? 1e30f : -1e30f;
      x.at(3, c) = 1e-20f;
      x.at(4, c) = c == 77 ? 1e4f : 1e-4f;
    }
    run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
    check_rows(out, 0, x, raw, GetParam().int8_rows, GetParam().factor_error);
  }
}

// A bad value spoils its own row, visibly, and no other.
TEST_P(LinearTest, NotFiniteStaysInItsRow) {
  for (const TensorType type :
       {TensorType::f16, TensorType::q4_0, TensorType::q4_1, TensorType::q8_0}) {
    const RawWeight raw = random_weight(random_, type, 20, 64);
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      Matrix x(*subject_, 5, 64), out(*subject_, 5, 20);
      x.fill(random_, 1.0f);
      x.at(2, 40) = bad;
      run(*subject_, [&] { subject_->linear(out.mat(), x.mat(), *weight); });
      for (int32_t r = 0; r < 5; ++r) {
        int32_t finite = 0;
        for (int32_t o = 0; o < 20; ++o) finite += std::isfinite(out.at(r, o)) ? 1 : 0;
        ASSERT_EQ(finite, r == 2 ? 0 : 20) << traits_of(type).name << " row " << r;
      }
    }
  }
}

}  // namespace
}  // namespace bessemer
