// Pointwise ops against the specification, with errors as their formulas allow.
#include <algorithm>
#include <cmath>

#include "tests/contract/harness.h"
#include "tests/contract/weights.h"

namespace bessemer {
namespace {

using PointwiseTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, PointwiseTest, testing::ValuesIn(subjects()), test_name);

constexpr int32_t kWidths[] = {1, 8, 15, 16, 17, 64, 100, 576};
constexpr int32_t kRowCounts[] = {0, 1, 3, 40};

TEST_P(PointwiseTest, RmsNorm) {
  constexpr float kEps = 1e-5f;
  for (const int32_t width : kWidths) {
    const RawWeight raw = random_weight(random_, TensorType::f32, 1, width);
    const std::vector<float> w = raw.values();
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    for (const int32_t rows : kRowCounts) {
      Matrix x(*subject_, rows, width, 3), out(*subject_, rows, width, 1);
      x.fill(random_, 3.0f);
      const Matrix in_place(*subject_, x);
      run(*subject_, [&] {
        subject_->rms_norm(out.mat(), x.mat(), *weight, kEps);
        subject_->rms_norm(in_place.mat(), in_place.mat(), *weight, kEps);
      });
      EXPECT_TRUE(same_bits(out.values(), in_place.values()));
      for (int32_t r = 0; r < rows; ++r) {
        double squares = 0;
        for (int32_t c = 0; c < width; ++c) squares += static_cast<double>(x.at(r, c)) * x.at(r, c);
        const double inverse = 1 / std::sqrt(squares / width + static_cast<double>(kEps));
        for (int32_t c = 0; c < width; ++c) {
          const double want = x.at(r, c) * inverse * w[static_cast<size_t>(c)];
          // All squares are positive: `width` roundings of the sum, halved by the root, and six
          // more.
          ASSERT_NEAR(out.at(r, c), want, (width / 2.0 + 6) * kUnit * std::abs(want));
        }
      }
      ASSERT_TRUE(out.gap_untouched() && x.gap_untouched());
    }
  }
}

TEST_P(PointwiseTest, AddIsExact) {
  for (const int32_t width : kWidths) {
    for (const int32_t rows : kRowCounts) {
      Matrix a(*subject_, rows, width, 2), x(*subject_, rows, width);
      a.fill(random_, 1.0f);
      x.fill(random_, 1.0f);
      const std::vector<float> before = a.values(), other = x.values();
      run(*subject_, [&] { subject_->add(a.mat(), x.mat()); });
      const std::vector<float> after = a.values();
      for (size_t i = 0; i < after.size(); ++i) ASSERT_EQ(after[i], before[i] + other[i]);
      ASSERT_TRUE(a.gap_untouched());
    }
  }
}

double activation(double x, Activation act) {
  switch (act) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::relu:
      return std::max(x, 0.0);
  }
  return x;
}

// Relative to |x|: a few roundings of factors between 0 and 1, the exponential's error, for gelu
// the error function's 1.5e-7; gelu_tanh's argument reaches 2 * 0.8 * |x + 0.045 x^3| and its
// roundings come out of the exponential that much larger.
double gate_tolerance(double x, Activation act) {
  const double argument =
      act == Activation::gelu_tanh ? 1.6 * std::abs(x + 0.044715 * x * x * x) : 0;
  return std::abs(x) * (8e-7 + 4 * kUnit * std::min(argument, 20.0)) + 1e-30;
}

TEST_P(PointwiseTest, GatedActivation) {
  for (const Activation act :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    for (const int32_t width : kWidths) {
      for (const int32_t rows : kRowCounts) {
        Matrix x(*subject_, rows, 2 * width, 1), out(*subject_, rows, width, 3);
        x.fill(random_, 4.0f);
        if (rows > 2) {
          const float extremes[] = {0.0f, -0.0f, 100.0f, -100.0f, 1e30f, -1e30f, 87.5f, -87.5f};
          for (int32_t c = 0; c < std::min(width, 8); ++c) x.at(1, c) = extremes[c];
        }
        run(*subject_, [&] { subject_->gated_act(out.mat(), x.mat(), act); });
        for (int32_t r = 0; r < rows; ++r) {
          for (int32_t c = 0; c < width; ++c) {
            const double gate = x.at(r, c), up = x.at(r, width + c);
            // Cubes of huge values leave the range of floats on the way; what is asked there is the
            // sign and no NaN.
            if (act == Activation::gelu_tanh && std::abs(gate) > 1e10) {
              ASSERT_EQ(out.at(r, c) == 0, gate < 0) << gate;
              continue;
            }
            ASSERT_NEAR(out.at(r, c), activation(gate, act) * up,
                        gate_tolerance(gate, act) * std::abs(up))
                << "act " << static_cast<int>(act) << " of " << gate;
          }
        }
        ASSERT_TRUE(out.gap_untouched());
        const Mat gate_half = columns(x.mat(), 0, width);
        run(*subject_, [&] { subject_->gated_act(gate_half, x.mat(), act); });
        for (int32_t r = 0; r < rows; ++r) {
          for (int32_t c = 0; c < width; ++c) ASSERT_EQ(x.at(r, c), out.at(r, c)) << "in place";
        }
      }
    }
  }
}

TEST_P(PointwiseTest, NotANumberStaysOne) {
  for (const Activation act : {Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
    Matrix x(*subject_, 1, 40), out(*subject_, 1, 20);
    x.fill(random_, 1.0f);
    x.at(0, 3) = NAN;
    x.at(0, 37) = NAN;
    run(*subject_, [&] { subject_->gated_act(out.mat(), x.mat(), act); });
    for (int32_t c = 0; c < 20; ++c) ASSERT_EQ(std::isnan(out.at(0, c)), c == 3 || c == 17) << c;
  }
}

struct RopeCase {
  int32_t heads, head_dim, rotary_dim;
  bool interleaved;
};

TEST_P(PointwiseTest, RopeIsWhatTheSpecificationGives) {
  for (const RopeCase& c : {RopeCase{3, 64, 64, true},
                            {3, 64, 64, false},
                            {1, 8, 8, true},
                            {2, 80, 20, false},
                            {2, 48, 12, true}}) {
    std::vector<double> frequencies;
    for (int32_t i = 0; i < c.rotary_dim / 2; ++i)
      frequencies.push_back(std::pow(1e4, -2.0 * i / c.rotary_dim));
    const RopeTablePtr table = *subject_->make_rope_table(frequencies, 512, 1.25f);
    const RopeParams params{
        .head_dim = c.head_dim, .rotary_dim = c.rotary_dim, .interleaved = c.interleaved};
    for (const int32_t rows : kRowCounts) {
      StepInputs inputs = plain_step(rows);
      for (int32_t& position : inputs.positions)
        position = static_cast<int32_t>(random_.below(512));
      Batch batch;
      subject_->begin_step(inputs, batch);
      Matrix x(*subject_, rows, c.heads * c.head_dim, 7);
      x.fill(random_, 1.0f);
      const Matrix before(*subject_, x);
      run(*subject_, [&] { subject_->rope(x.mat(), batch, *table, params); });
      for (int32_t r = 0; r < rows; ++r) {
        for (int32_t i = 0; i < x.cols(); ++i) {
          const int32_t head = i / c.head_dim * c.head_dim, d = i % c.head_dim,
                        pairs = c.rotary_dim / 2;
          if (d >= c.rotary_dim) {
            ASSERT_EQ(x.at(r, i), before.at(r, i));
            continue;
          }
          const bool first = c.interleaved ? d % 2 == 0 : d < pairs;
          const int32_t pair = c.interleaved ? d / 2 : d % pairs;
          const int32_t a = head + (c.interleaved ? 2 * pair : pair),
                        b = a + (c.interleaved ? 1 : pairs);
          const double angle =
              inputs.positions[static_cast<size_t>(r)] * frequencies[static_cast<size_t>(pair)];
          const double cosine = 1.25 * std::cos(angle), sine = 1.25 * std::sin(angle);
          const double p = before.at(r, a), q = before.at(r, b);
          const double want = first ? p * cosine - q * sine : p * sine + q * cosine;
          // Table, product and sum: three roundings of terms no larger than 1.25 (|p| + |q|).
          ASSERT_NEAR(x.at(r, i), want, 4 * kUnit * 1.25 * (std::abs(p) + std::abs(q)));
        }
      }
      ASSERT_TRUE(x.gap_untouched());
    }
  }
}

// The default body of a fused op composes the plain ones.
TEST_P(PointwiseTest, AddRmsNormEqualsItsParts) {
  for (const int32_t width : {1, 15, 72, 100}) {
    const RawWeight raw = random_weight(random_, TensorType::f32, 1, width);
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    for (const int32_t rows : kRowCounts) {
      Matrix residual(*subject_, rows, width, 3), x(*subject_, rows, width, 1);
      Matrix out(*subject_, rows, width, 2);
      residual.fill(random_, 1.0f);
      x.fill(random_, 1.0f);
      const Matrix residual2(*subject_, residual), out2(*subject_, out);
      run(*subject_, [&] {
        subject_->all_reduce_add_rms_norm(out.mat(), residual.mat(), x.mat(), *weight, 1e-5f);
        subject_->Backend::add_rms_norm(out2.mat(), residual2.mat(), x.mat(), *weight, 1e-5f);
      });
      EXPECT_TRUE(same_bits(out.values(), out2.values()));
      EXPECT_TRUE(same_bits(residual.values(), residual2.values()));
      EXPECT_TRUE(out.gap_untouched() && residual.gap_untouched());
    }
  }
}

// Both ways leave the same q and k, and a pool from which the same is read.
TEST_P(PointwiseTest, RopeStoreKvEqualsItsParts) {
  for (const auto& [dtype, rotary, interleaved] :
       {std::tuple{DType::f32, 24, true}, {DType::f16, 24, false}, {DType::i8, 10, true}}) {
    constexpr int32_t kRows = 21, kWidth = 24;
    const KvLayout layout{.dtype = dtype,
                          .layers = {{.heads = 2, .key_width = kWidth, .value_width = kWidth}},
                          .group_blocks = {2}};
    const std::vector<double> frequencies(static_cast<size_t>(rotary / 2), 0.3);
    const RopeTablePtr table = *subject_->make_rope_table(frequencies, kRows, 1.0f);
    const RopeParams rope{.head_dim = kWidth, .rotary_dim = rotary, .interleaved = interleaved};
    const AttentionParams attention{
        .query_heads = 6, .kv_heads = 2, .key_width = kWidth, .value_width = kWidth, .scale = 0.2f};
    StepInputs inputs = plain_step(kRows);
    inputs.groups.push_back(
        {.store_at = inputs.positions, .table = {0, 1}, .table_stride = 2, .kv_len = {kRows - 1}});
    inputs.groups[0].store_at.back() = -1;  // a padding row
    inputs.query_start.back() = kRows - 1;
    Batch batch;
    subject_->begin_step(inputs, batch);
    Matrix q(*subject_, kRows, 6 * kWidth, 2), k(*subject_, kRows, 2 * kWidth, 3);
    Matrix v(*subject_, kRows, 2 * kWidth), out(*subject_, kRows, 6 * kWidth);
    for (Matrix* matrix : {&q, &k, &v}) matrix->fill(random_, 1.0f);
    const Matrix q2(*subject_, q), k2(*subject_, k), out2(*subject_, out);
    KvPoolPtr pool = *subject_->make_kv(layout), pool2 = *subject_->make_kv(layout);
    run(*subject_, [&] {
      subject_->rope_store_kv(q.mat(), k.mat(), v.mat(), *pool, 0, batch, *table, rope);
      subject_->attend(out.mat(), q.mat(), *pool, 0, batch, attention);
      subject_->Backend::rope_store_kv(q2.mat(), k2.mat(), v.mat(), *pool2, 0, batch, *table, rope);
      subject_->attend(out2.mat(), q2.mat(), *pool2, 0, batch, attention);
    });
    EXPECT_TRUE(same_bits(q.values(), q2.values()));
    EXPECT_TRUE(same_bits(k.values(), k2.values()));
    EXPECT_TRUE(same_bits(out.values(), out2.values()));
    EXPECT_TRUE(q.gap_untouched() && k.gap_untouched());
  }
}

}  // namespace
}  // namespace bessemer
