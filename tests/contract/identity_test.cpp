// E5 on the CPU: a row's bits do not depend on the instruction set, the threads, the rows beside it
// or the chunking.
#include <algorithm>
#include <cmath>

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

TEST_P(IdentityTest, RopeOfAnyWidth) {
  for (const auto& [width, rotary] : {std::pair{64, 64}, {24, 20}, {100, 70}, {4, 2}}) {
    std::vector<double> frequencies;
    for (int32_t i = 0; i < rotary / 2; ++i) frequencies.push_back(std::pow(0.7, i));
    const RopeTablePtr a = *oracle_->make_rope_table(frequencies, 300, 1.1f);
    const RopeTablePtr b = *subject_->make_rope_table(frequencies, 300, 1.1f);
    Matrix x(*oracle_, 300, 3 * width);
    x.fill(random_, 1.0f);
    for (const bool interleaved : {true, false}) {
      const Matrix want(*oracle_, x), got(*subject_, x);
      const RopeParams params{.head_dim = width, .rotary_dim = rotary, .interleaved = interleaved};
      Batch batch;
      oracle_->begin_step(plain_step(300), batch);
      run(*oracle_, [&] { oracle_->rope(want.mat(), batch, *a, params); });
      subject_->begin_step(plain_step(300), batch);
      run(*subject_, [&] { subject_->rope(got.mat(), batch, *b, params); });
      EXPECT_TRUE(same_bits(got.values(), want.values())) << width << " " << interleaved;
    }
  }
}

TEST_P(IdentityTest, AttentionInAnyChunksAndBatch) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32, DType::i8}) {
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

// One row for each sequence at the end of its context, over one pool that holds the same values at
// every position of every block: attention of `c.lengths`.
std::vector<float> decode(Backend& backend, const AttentionCase& c) {
  Random random(3);
  const int32_t block = c.block_tokens,
                blocks = (*std::ranges::max_element(c.lengths) + block - 1) / block;
  KvPoolPtr pool = *backend.make_kv(
      {.block_tokens = block,
       .dtype = c.dtype,
       .layers = {{.heads = c.kv_heads, .key_width = c.key_width, .value_width = c.value_width}},
       .group_blocks = {blocks}});
  StepInputs fill = plain_step(blocks * block), ends;
  StepInputs::Group& group = ends.groups.emplace_back();
  for (int32_t b = 0; b < blocks; ++b) group.table.push_back((b * 7 + 3) % blocks);
  fill.groups.push_back({.store_at = fill.positions,
                         .table = group.table,
                         .table_stride = blocks,
                         .kv_len = {blocks * block}});
  const std::vector<int32_t> table = group.table;
  group.table_stride = blocks;
  ends.query_start = {0};
  for (const int32_t length : c.lengths) {
    if (length != c.lengths[0]) group.table.insert(group.table.end(), table.begin(), table.end());
    ends.ids.push_back(0);
    ends.positions.push_back(length - 1);
    ends.query_start.push_back(static_cast<int32_t>(ends.ids.size()));
    group.kv_len.push_back(length);
    group.store_at.push_back(-1);
  }
  Matrix k(backend, blocks * block, c.kv_heads * c.key_width),
      v(backend, blocks * block, c.kv_heads * c.value_width);
  const auto rows = static_cast<int32_t>(c.lengths.size());
  Matrix q(backend, rows, c.query_heads * c.key_width),
      out(backend, rows, c.query_heads * c.value_width);
  k.fill(random, 1.0f);
  v.fill(random, 1.0f);
  q.fill(random, 1.0f);
  const AttentionParams params{.query_heads = c.query_heads,
                               .kv_heads = c.kv_heads,
                               .key_width = c.key_width,
                               .value_width = c.value_width,
                               .scale = 0.5f};
  Batch batch;
  backend.begin_step(fill, batch);
  run(backend, [&] { backend.store_kv(*pool, 0, k.mat(), v.mat(), batch); });
  backend.begin_step(ends, batch);
  run(backend, [&] { backend.attend(out.mat(), q.mat(), *pool, 0, batch, params); });
  return out.values();
}

// Long enough that tasks of a few chunks share a head, several heads, short sequences beside them,
// and at last so long and wide that it takes more than one pass (attend_plan.h).
TEST_P(IdentityTest, AttentionSplitOverKv) {
  std::vector<AttentionCase> cases{
      {.query_heads = 9, .kv_heads = 3, .key_width = 64, .value_width = 64, .lengths = {2000}},
      {.query_heads = 5, .kv_heads = 1, .key_width = 32, .value_width = 40, .lengths = {1400, 7}},
      {.query_heads = 40, .kv_heads = 1, .key_width = 16, .value_width = 17, .lengths = {900, 600}},
      {.query_heads = 32, .kv_heads = 1, .key_width = 8, .value_width = 1024, .lengths = {2700}}};
  for (AttentionCase& c : cases) {
    c.dtype = c.kv_heads == 3 ? DType::i8 : DType::bf16;
    EXPECT_TRUE(same_bits(decode(*subject_, c), decode(*oracle_, c))) << c.lengths[0];
  }
}

}  // namespace
}  // namespace bessemer
