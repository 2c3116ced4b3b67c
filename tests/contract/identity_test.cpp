// E5 on the CPU: a row's bits do not depend on the instruction set, the threads, the rows beside it
// or the chunking.
#include "tests/contract/attention.h"
#include "tests/contract/harness.h"
#include "tests/contract/weights.h"

namespace bessemer {
namespace {

// The scalar path on one thread is the oracle.
const Subject kOracle{"oracle", "cpu", {.threads = 1, .isa = "scalar"}};

std::vector<Subject> variants() {
  std::vector<Subject> found;
  for (const Subject& subject : cpu_subjects()) {
    for (const int32_t threads : {1, 2, 5}) {
      Subject variant = subject;
      variant.options.threads = threads;
      variant.label = subject.label + "_" + std::to_string(threads) + "_threads";
      found.push_back(variant);
    }
  }
  return found;
}

class IdentityTest : public testing::TestWithParam<Subject> {
 protected:
  IdentityTest() : oracle_(make(kOracle)), subject_(make(GetParam())) {}
  Random random_{77};
  std::unique_ptr<Backend> oracle_, subject_;
};
INSTANTIATE_TEST_SUITE_P(Cpu, IdentityTest, testing::ValuesIn(variants()), test_name);

TEST_P(IdentityTest, OneNameForOneArithmetic) {
  EXPECT_EQ(oracle_->numerics(), subject_->numerics());
}

TEST_P(IdentityTest, LinearInAnyBatch) {
  for (const TensorType type : kAllTypes) {
    const RawWeight raw = random_weight(random_, type, 53, is_float_type(type) ? 77 : 512, true);
    const WeightPart part = raw.part();
    WeightPtr a = *oracle_->pack({&part, 1}), b = *subject_->pack({&part, 1});
    Matrix x(*oracle_, 23, raw.cols), want(*oracle_, 23, 53);
    x.fill(random_, 2.0f);
    for (int32_t r = 0; r < 23; r += 2) x.at(r, r * 3) = 100.0f;  // outliers in every other row
    for (int32_t r = 0; r < 23; ++r) {                            // one row at a time
      Mat one = first_rows(x.mat(), 1), out = first_rows(want.mat(), 1);
      one.offset_bytes += sizeof(float) * static_cast<size_t>(r * one.row_stride);
      out.offset_bytes += sizeof(float) * static_cast<size_t>(r * out.row_stride);
      run(*oracle_, [&] { oracle_->linear(out, one, *a); });
    }
    const Matrix same_x(*subject_, x);
    Matrix got(*subject_, 23, 53);
    run(*subject_, [&] { subject_->linear(got.mat(), same_x.mat(), *b); });
    ASSERT_TRUE(same_bits(got.values(), want.values())) << traits_of(type).name;
    for (const int32_t rows : {1, 2, 3, 4, 5, 8, 11, 16}) {
      Matrix part_out(*subject_, rows, 53);
      run(*subject_, [&] { subject_->linear(part_out.mat(), first_rows(same_x.mat(), rows), *b); });
      std::vector<float> first = want.values();
      first.resize(static_cast<size_t>(rows * 53));
      ASSERT_TRUE(same_bits(part_out.values(), first))
          << traits_of(type).name << ", " << rows << " rows";
    }
  }
}

TEST_P(IdentityTest, Pointwise) {
  const RawWeight raw = random_weight(random_, TensorType::f32, 1, 100);
  const WeightPart part = raw.part();
  WeightPtr a = *oracle_->pack({&part, 1}), b = *subject_->pack({&part, 1});
  Matrix x(*oracle_, 400, 100), gates(*oracle_, 400, 200);
  x.fill(random_, 1.0f);
  gates.fill(random_, 8.0f);
  gates.at(3, 5) = NAN;
  gates.at(4, 6) = INFINITY;
  gates.at(5, 7) = -INFINITY;
  const Matrix x2(*subject_, x), gates2(*subject_, gates);
  Matrix out(*oracle_, 400, 100), out2(*subject_, 400, 100);
  run(*oracle_, [&] { oracle_->rms_norm(out.mat(), x.mat(), *a, 1e-6f); });
  run(*subject_, [&] { subject_->rms_norm(out2.mat(), x2.mat(), *b, 1e-6f); });
  EXPECT_TRUE(same_bits(out.values(), out2.values()));
  for (const Activation act :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    run(*oracle_, [&] { oracle_->gated_act(out.mat(), gates.mat(), act); });
    run(*subject_, [&] { subject_->gated_act(out2.mat(), gates2.mat(), act); });
    EXPECT_TRUE(same_bits(out.values(), out2.values())) << static_cast<int>(act);
  }
}

TEST_P(IdentityTest, AttentionInAnyChunksAndBatch) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    AttentionCase c{.query_heads = 6,
                    .kv_heads = 2,
                    .key_width = 24,
                    .value_width = 40,
                    .dtype = dtype,
                    .lengths = {140, 17, 64}};
    const AttentionWorld world(c, 5);
    const std::vector<float> want = world.run(*oracle_, one_by_one(c));
    EXPECT_TRUE(same_bits(world.run(*subject_, whole(c)), want));
    EXPECT_TRUE(same_bits(world.run(*subject_, one_by_one(c)), want));
    for (int i = 0; i < 3; ++i)
      EXPECT_TRUE(same_bits(world.run(*subject_, drawn(c, random_)), want));
  }
}

}  // namespace
}  // namespace bessemer
