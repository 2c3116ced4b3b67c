// The pool: its size, moves of blocks, layers of several groups, shared layers, what it refuses.
#include "tests/contract/harness.h"

namespace bessemer {
namespace {

using KvTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, KvTest, testing::ValuesIn(subjects()), test_name);

KvLayout two_groups() {
  return {.layers = {{.group = 0, .heads = 2, .key_width = 16, .value_width = 8},
                     {.group = 1, .heads = 1, .key_width = 16, .value_width = 16},
                     {.group = 0, .heads = 2, .key_width = 16, .value_width = 8, .shares = 0}},
          .group_blocks = {3, 4}};
}

TEST_P(KvTest, SizeIsWhatTheBlocksSay) {
  const KvLayout layout = two_groups();
  const uint64_t first = kv_block_bytes(layout, 0), second = kv_block_bytes(layout, 1);
  EXPECT_EQ(first,
            16u * 2 * 2 * (16 + 8));  // tokens, bytes, heads, widths; the shared layer has none
  EXPECT_EQ(second, 16u * 2 * 1 * (16 + 16));
  const KvPoolPtr pool = *subject_->make_kv(layout);
  EXPECT_EQ(pool->size_bytes(), 3 * first + 4 * second);
}

TEST_P(KvTest, Int8RowsTakeAScaleEach) {
  KvLayout layout = two_groups();
  layout.dtype = DType::i8;
  EXPECT_EQ(kv_block_bytes(layout, 0), 16u * 2 * (16 + 4 + 8 + 4));
  EXPECT_EQ(kv_block_bytes(layout, 1), 16u * 1 * (16 + 4 + 16 + 4));
  EXPECT_EQ((*subject_->make_kv(layout))->size_bytes(),
            3 * kv_block_bytes(layout, 0) + 4 * kv_block_bytes(layout, 1));
}

// One row each in blocks of both groups; reads them through attention over a single position, which
// gives the value itself.
struct OneRow {
  Backend& backend;
  KvPool& pool;

  void store(int32_t layer, int32_t block, float value, int32_t heads, int32_t value_width) const {
    const StepInputs inputs = step(block);
    Batch batch;
    backend.begin_step(inputs, batch);
    Matrix k(backend, 1, heads * 16), v(backend, 1, heads * value_width);
    for (int32_t c = 0; c < v.cols(); ++c) v.at(0, c) = value + static_cast<float>(c);
    run(backend, [&] { backend.store_kv(pool, layer, k.mat(), v.mat(), batch); });
  }
  std::vector<float> load(int32_t layer, int32_t block, int32_t heads, int32_t value_width) const {
    const StepInputs inputs = step(block);
    Batch batch;
    backend.begin_step(inputs, batch);
    Matrix q(backend, 1, heads * 16), out(backend, 1, heads * value_width);
    const AttentionParams params{.query_heads = heads,
                                 .kv_heads = heads,
                                 .key_width = 16,
                                 .value_width = value_width,
                                 .scale = 1};
    run(backend, [&] { backend.attend(out.mat(), q.mat(), pool, layer, batch, params); });
    return out.values();
  }
  static StepInputs step(int32_t block) {
    StepInputs inputs = plain_step(1);
    for (int group = 0; group < 2; ++group) {
      inputs.groups.push_back(
          {.store_at = {block * 16}, .table = {block}, .table_stride = 1, .kv_len = {1}});
    }
    return inputs;
  }
};

TEST_P(KvTest, GroupsAndLayersAreApartAndSharedOnesTheSame) {
  const KvPoolPtr pool = *subject_->make_kv(two_groups());
  const OneRow kv{*subject_, *pool};
  kv.store(0, 1, 100, 2, 8);
  kv.store(1, 1, 200, 1, 16);
  kv.store(1, 3, 300, 1, 16);
  EXPECT_EQ(kv.load(0, 1, 2, 8).front(), 100);
  EXPECT_EQ(kv.load(0, 1, 2, 8).back(), 115);
  EXPECT_EQ(kv.load(1, 1, 1, 16).front(), 200);
  EXPECT_EQ(kv.load(1, 3, 1, 16).back(), 315);
  EXPECT_EQ(kv.load(2, 1, 2, 8), kv.load(0, 1, 2, 8));
}

TEST_P(KvTest, MovesCopyABlockOfOneGroup) {
  const KvPoolPtr pool = *subject_->make_kv(two_groups());
  const OneRow kv{*subject_, *pool};
  kv.store(0, 0, 100, 2, 8);
  kv.store(0, 2, 150, 2, 8);
  kv.store(1, 0, 200, 1, 16);
  kv.store(1, 2, 250, 1, 16);
  const KvMove moves[] = {{.group = 0, .from = 0, .to = 2}, {.group = 0, .from = 2, .to = 1}};
  subject_->move_kv(*pool, moves);
  EXPECT_EQ(kv.load(0, 2, 2, 8).front(), 100);
  EXPECT_EQ(kv.load(0, 1, 2, 8).front(), 100) << "moves happen in order";
  EXPECT_EQ(kv.load(1, 2, 1, 16).front(), 250) << "the other group stays";
}

// With the scales, which differ from block to block.
TEST_P(KvTest, MovesCopyInt8Blocks) {
  KvLayout layout = two_groups();
  layout.dtype = DType::i8;
  const KvPoolPtr pool = *subject_->make_kv(layout);
  const OneRow kv{*subject_, *pool};
  kv.store(0, 0, 100, 2, 8);
  kv.store(0, 1, 5, 2, 8);
  const std::vector<float> want = kv.load(0, 0, 2, 8);
  const KvMove moves[] = {{.group = 0, .from = 0, .to = 2}, {.group = 0, .from = 1, .to = 1}};
  subject_->move_kv(*pool, moves);
  EXPECT_EQ(kv.load(0, 2, 2, 8), want);
  EXPECT_EQ(want.back(), 115);
  EXPECT_NEAR(kv.load(0, 1, 2, 8).front(), 5, 20 / 127.0);
}

TEST_P(KvTest, RefusesWhatItCannotHold) {
  KvLayout layout = two_groups();
  layout.dtype = DType::i32;
  EXPECT_EQ(subject_->make_kv(layout).status().code(), absl::StatusCode::kInvalidArgument);
  layout = two_groups();
  layout.layers[1].group = 2;
  EXPECT_EQ(subject_->make_kv(layout).status().code(), absl::StatusCode::kInvalidArgument);
  layout = two_groups();
  layout.layers[2].shares = 1;
  EXPECT_EQ(subject_->make_kv(layout).status().code(), absl::StatusCode::kInvalidArgument);
  layout = two_groups();
  layout.block_tokens = 0;
  EXPECT_EQ(subject_->make_kv(layout).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(KvTest, AnEmptyGroupIsFine) {
  KvLayout layout = two_groups();
  layout.group_blocks = {0, 0};
  const StatusOr<KvPoolPtr> pool = subject_->make_kv(layout);
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ((*pool)->size_bytes(), 0u);
}

}  // namespace
}  // namespace bessemer
