// store_kv and attend against softmax in double: grouped heads, odd widths, scattered blocks, every
// KV type, every chunking.
#include "tests/contract/attention.h"

#include <cmath>

namespace bessemer {
namespace {

using AttentionTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, AttentionTest, testing::ValuesIn(subjects()), test_name);

void check(Backend& backend, const AttentionCase& c, const Schedule& schedule, uint64_t seed) {
  const AttentionWorld world(c, seed);
  const std::vector<float> got = world.run(backend, schedule);
  const AttentionWorld::Expected want = world.expected();
  ASSERT_EQ(got.size(), want.values.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want.values[i], want.tolerances[i])
        << "value " << i << ", " << c.query_heads << "/" << c.kv_heads << " heads, widths "
        << c.key_width << " and " << c.value_width;
  }
}

TEST_P(AttentionTest, EveryGroupedQueryRatio) {
  for (const auto& [query, kv] :
       {std::pair{1, 1}, {4, 4}, {4, 2}, {9, 3}, {8, 1}, {5, 1}, {40, 1}, {33, 3}}) {
    const AttentionCase c{.query_heads = query,
                          .kv_heads = kv,
                          .key_width = 16,
                          .value_width = 16,
                          .lengths = {3, 40}};
    check(*subject_, c, whole(c), 7);
  }
}

TEST_P(AttentionTest, OddWidths) {
  for (const auto& [key, value] : {std::pair{8, 8},
                                   {1, 1},
                                   {16, 17},
                                   {48, 20},
                                   {64, 64},
                                   {80, 96},
                                   {128, 128},
                                   {33, 129},
                                   {256, 256}}) {
    const AttentionCase c{
        .query_heads = 3, .kv_heads = 1, .key_width = key, .value_width = value, .lengths = {20}};
    check(*subject_, c, whole(c), 8);
  }
}

TEST_P(AttentionTest, EveryKvTypeAndBlockSize) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
    for (const int32_t block_tokens : {16, 32, 64}) {
      AttentionCase c{.block_tokens = block_tokens, .dtype = dtype, .lengths = {1, 15, 16, 17, 70}};
      c.key_width = c.value_width = 24;
      check(*subject_, c, whole(c), 9);
    }
  }
}

// An int8 row has the scale of its own values, whatever those of its neighbours are. Each query
// singles out its own position, and gets the value itself.
TEST_P(AttentionTest, Int8RowsHaveScalesOfTheirOwn) {
  constexpr float kScales[] = {1, 1000, 0, 1e-6f, 1e-35f};  // the last is below 2^-100
  constexpr int32_t kRows = 5, kWidth = 20;
  const KvLayout layout{.dtype = DType::i8,
                        .layers = {{.heads = 2, .key_width = kWidth, .value_width = kWidth}},
                        .group_blocks = {1}};
  KvPoolPtr pool = *subject_->make_kv(layout);
  StepInputs inputs = plain_step(kRows);
  inputs.groups.push_back(
      {.store_at = inputs.positions, .table = {0}, .table_stride = 1, .kv_len = {kRows}});
  Matrix q(*subject_, kRows, 2 * kWidth), k(*subject_, kRows, 2 * kWidth);
  Matrix v(*subject_, kRows, 2 * kWidth), out(*subject_, kRows, 2 * kWidth);
  v.fill(random_, 1.0f);
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t c = 0; c < 2 * kWidth; ++c) v.at(r, c) *= kScales[r] * (c < kWidth ? 1 : 0.01f);
    for (const int32_t head : {0, 1}) {
      k.at(r, head * kWidth + r) = 1;
      q.at(r, head * kWidth + r) = 200;
    }
  }
  const AttentionParams params{.query_heads = 2,
                               .kv_heads = 2,
                               .key_width = kWidth,
                               .value_width = kWidth,
                               .scale = 1,
                               .causal = false};
  Batch batch;
  subject_->begin_step(inputs, batch);
  run(*subject_, [&] {
    subject_->store_kv(*pool, 0, k.mat(), v.mat(), batch);
    subject_->attend(out.mat(), q.mat(), *pool, 0, batch, params);
  });
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t first = 0; first < 2 * kWidth; first += kWidth) {
      float largest = 0;
      for (int32_t d = 0; d < kWidth; ++d)
        largest = std::max(largest, std::abs(v.at(r, first + d)));
      for (int32_t d = 0; d < kWidth; ++d) {
        const float value = v.at(r, first + d);
        const float steps = largest < 0x1p-100f ? 0 : std::nearbyint(value * (127.0f / largest));
        ASSERT_EQ(out.at(r, first + d), steps * (largest / 127.0f)) << "row " << r << ", " << d;
      }
    }
  }
}

// Across the borders of the chunks in which a backend may take its softmax.
TEST_P(AttentionTest, LongSequences) {
  const AttentionCase c{.query_heads = 2,
                        .kv_heads = 1,
                        .key_width = 8,
                        .value_width = 8,
                        .lengths = {300, 127, 128, 129}};
  check(*subject_, c, whole(c), 10);
  // Few rows over long contexts, which a backend may split.
  check(*subject_, c, {{298, 126, 127, 128}, {1, 1, 1, 0}, {1, 0, 0, 1}}, 10);
}

TEST_P(AttentionTest, InStepsOfAnyShape) {
  AttentionCase c{
      .query_heads = 6, .kv_heads = 2, .key_width = 16, .value_width = 16, .lengths = {90, 5, 33}};
  check(*subject_, c, one_by_one(c), 11);
  check(*subject_, c, drawn(c, random_), 11);
}

// A step is prepared while the one before it still has to run.
TEST_P(AttentionTest, TwoStepsInFlight) {
  const KvLayout layout{.layers = {{.heads = 1, .key_width = 16, .value_width = 16}},
                        .group_blocks = {3}};
  KvPoolPtr pool = *subject_->make_kv(layout);
  Matrix k(*subject_, 3, 16), v(*subject_, 3, 16), out(*subject_, 3, 16);
  k.fill(random_, 1.0f);
  v.fill(random_, 1.0f);
  StepInputs three = plain_step(3), one = plain_step(1);
  three.positions = {0, 0, 0};  // three sequences of one position
  three.query_start = {0, 1, 2, 3};
  three.groups.push_back(
      {.store_at = {0, 16, 32}, .table = {0, 1, 2}, .table_stride = 1, .kv_len = {1, 1, 1}});
  one.groups.push_back({.store_at = {0}, .table = {0}, .table_stride = 1, .kv_len = {1}});
  Batch first, second;
  subject_->begin_step(three, first);
  subject_->begin_step(one, second);
  const AttentionParams params{
      .query_heads = 1, .kv_heads = 1, .key_width = 16, .value_width = 16, .scale = 0.25f};
  run(*subject_, [&] {
    subject_->store_kv(*pool, 0, k.mat(), v.mat(), first);
    subject_->attend(out.mat(), k.mat(), *pool, 0, first, params);
  });
  for (int32_t r = 0; r < 3; ++r) {
    for (int32_t d = 0; d < 16; ++d)
      ASSERT_NEAR(out.at(r, d), v.at(r, d), 1e-3 * std::abs(v.at(r, d)) + 1e-7);
  }
}

// A token at a time of one sequence, in steps that a backend may record and replay; what attention
// gives at each of `count` positions.
std::vector<std::vector<float>> decode(Backend& backend, int32_t count) {
  constexpr int32_t kWidth = 16;
  Random random(5);
  KvPoolPtr pool = *backend.make_kv({.dtype = DType::f32,
                                     .layers = {{.heads = 2, .key_width = 16, .value_width = 16}},
                                     .group_blocks = {count / 16 + 1}});
  const std::vector<double> frequencies(kWidth / 2, 0.1);
  const RopeTablePtr table = *backend.make_rope_table(frequencies, count, 1.0f);
  const RopeParams rope{.head_dim = kWidth, .rotary_dim = kWidth};
  const AttentionParams params{
      .query_heads = 4, .kv_heads = 2, .key_width = kWidth, .value_width = kWidth, .scale = 0.25f};
  const StepKey key{.rows = 1, .sequences = 1, .longest_query = 1, .flags = StepKey::kReplayable};
  Matrix q(backend, 1, 4 * kWidth), k(backend, 1, 2 * kWidth), v(backend, 1, 2 * kWidth);
  Matrix out(backend, 1, 4 * kWidth);
  std::vector<std::vector<float>> results;
  for (int32_t position = 0; position < count; ++position) {
    StepInputs inputs = plain_step(1);
    inputs.positions = {position};
    StepInputs::Group& group = inputs.groups.emplace_back();
    group.store_at = {position};
    for (int32_t block = 0; block <= position / 16; ++block) group.table.push_back(block);
    group.table_stride = position / 16 + 1;
    group.kv_len = {position + 1};
    Batch batch;
    backend.begin_step(inputs, batch);
    for (Matrix* matrix : {&q, &k, &v}) matrix->fill(random, 1.0f);
    const Mat mq = q.mat(), mk = k.mat(), mv = v.mat(), mout = out.mat();
    int32_t bodies = 0;  // what a body tells its caller must be told in replays too
    const auto body = [&] {
      ++bodies;
      backend.rope_store_kv(mq, mk, mv, *pool, 0, batch, *table, rope);
      backend.attend(mout, mq, *pool, 0, batch, params);
    };
    run(backend, body, key);
    EXPECT_EQ(bodies, 1);
    results.push_back(out.values());
  }
  return results;
}

TEST_P(AttentionTest, ReplayedStepsReadTheirOwnInputs) {
  const auto got = decode(*subject_, 300), want = decode(*reference_, 300);
  for (size_t p = 0; p < want.size(); ++p) {
    for (size_t i = 0; i < want[p].size(); ++i)
      ASSERT_NEAR(got[p][i], want[p][i], 1e-5) << "position " << p << ", value " << i;
  }
}

// Without a causal mask a row sees what its step has stored, also behind itself.
TEST_P(AttentionTest, NotCausal) {
  const AttentionCase c{.query_heads = 2,
                        .kv_heads = 2,
                        .key_width = 16,
                        .value_width = 16,
                        .causal = false,
                        .lengths = {50, 17}};
  check(*subject_, c, whole(c), 12);
}

// One head of width 16 over 20 rows of one sequence: k and v are stored, then q attends.
void attend_one_head(Backend& backend, DType dtype, const Matrix& q, const Matrix& k,
                     const Matrix& v, Matrix& out) {
  KvPoolPtr pool = *backend.make_kv({.dtype = dtype,
                                     .layers = {{.heads = 1, .key_width = 16, .value_width = 16}},
                                     .group_blocks = {2}});
  StepInputs inputs = plain_step(20);
  inputs.groups.push_back(
      {.store_at = inputs.positions, .table = {0, 1}, .table_stride = 2, .kv_len = {20}});
  Batch batch;
  backend.begin_step(inputs, batch);
  const AttentionParams params{
      .query_heads = 1, .kv_heads = 1, .key_width = 16, .value_width = 16, .scale = 0.25f};
  run(backend, [&] {
    backend.store_kv(*pool, 0, k.mat(), v.mat(), batch);
    backend.attend(out.mat(), q.mat(), *pool, 0, batch, params);
  });
}

// int8 cannot hold what is not finite: the row's scale is not a number, and who sees it gets that.
TEST_P(AttentionTest, NotFiniteInInt8IsSeenOnlyByWhoMaySeeIt) {
  Matrix k(*subject_, 20, 16), v(*subject_, 20, 16), out(*subject_, 20, 16);
  k.fill(random_, 1.0f);
  v.fill(random_, 1.0f);
  k.at(15, 5) = INFINITY;
  v.at(18, 5) = NAN;
  attend_one_head(*subject_, DType::i8, v, k, v, out);
  for (int32_t r = 0; r < 20; ++r) {
    for (int32_t d = 0; d < 16; ++d) ASSERT_EQ(std::isfinite(out.at(r, d)), r < 15) << r;
  }
}

// A value that is infinite for one position must not reach the rows before it, though they are
// computed side by side.
TEST_P(AttentionTest, InfinityIsSeenOnlyByWhoMaySeeIt) {
  Matrix q(*subject_, 20, 16), k(*subject_, 20, 16), v(*subject_, 20, 16), out(*subject_, 20, 16);
  q.fill(random_, 1.0f);
  k.fill(random_, 1.0f);
  v.fill(random_, 1.0f);
  v.at(18, 5) = 1e6f;  // beyond f16
  attend_one_head(*subject_, KvLayout{}.dtype, q, k, v, out);
  for (int32_t r = 0; r < 20; ++r) {
    for (int32_t d = 0; d < 16; ++d)
      ASSERT_EQ(std::isfinite(out.at(r, d)), !(r >= 18 && d == 5)) << r << " " << d;
  }
}

}  // namespace
}  // namespace bessemer
