// Ops that move rows: bit for bit what the specification gives.
#include "tests/contract/harness.h"
#include "tests/contract/weights.h"

namespace bessemer {
namespace {

using RowsTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, RowsTest, testing::ValuesIn(subjects()), test_name);

TEST_P(RowsTest, EmbedReadsWhatTheFileHolds) {
  for (const TensorType type : kAllTypes) {
    const RawWeight raw = random_weight(random_, type, 67, is_float_type(type) ? 41 : 512);
    const std::vector<float> want = raw.values();
    const WeightPart part = raw.part();
    WeightPtr weight = *subject_->pack({&part, 1});
    for (const int32_t rows : {0, 1, 9}) {
      StepInputs inputs = plain_step(rows);
      for (int32_t& id : inputs.ids) id = static_cast<int32_t>(random_.below(67));
      Batch batch;
      subject_->begin_step(inputs, batch);
      Matrix out(*subject_, rows, raw.cols, 2);
      run(*subject_, [&] { subject_->embed(out.mat(), batch, *weight); });
      for (int32_t r = 0; r < rows; ++r) {
        const auto first = static_cast<size_t>(inputs.ids[static_cast<size_t>(r)] * raw.cols);
        for (int32_t c = 0; c < raw.cols; ++c) {
          ASSERT_EQ(out.at(r, c), want[first + static_cast<size_t>(c)])
              << traits_of(type).name << " column " << c;
        }
      }
      ASSERT_TRUE(out.gap_untouched());
    }
  }
}

TEST_P(RowsTest, GetRowsTakesAnyRowsInAnyOrder) {
  Matrix x(*subject_, 12, 33, 4);
  x.fill(random_, 1.0f);
  for (const std::vector<int32_t>& at : {std::vector<int32_t>{}, {11}, {0, 3, 3, 11, 7}}) {
    const auto count = static_cast<int32_t>(at.size());
    StepInputs inputs = plain_step(12);
    inputs.out_rows = at;
    Batch batch;
    subject_->begin_step(inputs, batch);
    Matrix out(*subject_, count, 33, 1);
    run(*subject_, [&] { subject_->get_rows(out.mat(), x.mat(), batch.out_rows); });
    for (int32_t r = 0; r < count; ++r) {
      for (int32_t c = 0; c < 33; ++c) ASSERT_EQ(out.at(r, c), x.at(at[static_cast<size_t>(r)], c));
    }
    ASSERT_TRUE(out.gap_untouched());
  }
}

TEST_P(RowsTest, AllGatherIsACopyAtWorldSizeOne) {
  Matrix x(*subject_, 5, 17, 2), out(*subject_, 5, 17);
  x.fill(random_, 1.0f);
  run(*subject_, [&] {
    subject_->all_gather_cols(out.mat(), x.mat());
    subject_->all_gather_cols(x.mat(), x.mat());
    subject_->all_reduce(x.mat());
  });
  EXPECT_TRUE(same_bits(out.values(), x.values()));
}

// The handles of a step stay readable while the next one is prepared.
TEST_P(RowsTest, BeginStepKeepsTheStepBefore) {
  Batch first, second;
  StepInputs inputs = plain_step(3);
  inputs.groups.push_back(
      {.store_at = {4, 5, -1}, .table = {0, 1, 2}, .table_stride = 3, .kv_len = {40}});
  subject_->begin_step(inputs, first);
  inputs.ids = {7, 8, 9};
  inputs.groups[0].kv_len = {41};
  subject_->begin_step(inputs, second);
  EXPECT_EQ(first.rows, 3);
  EXPECT_EQ(first.sequences, 1);
  EXPECT_EQ(first.longest_query, 3);
  EXPECT_EQ(first.longest_kv, 40);
  // Handles are read by ops alone.
  Matrix numbers(*subject_, 50, 1);
  for (int32_t r = 0; r < 50; ++r) numbers.at(r, 0) = static_cast<float>(r);
  const auto read = [&](DeviceInts handle) {
    Matrix out(*subject_, handle.count, 1);
    run(*subject_, [&] { subject_->get_rows(out.mat(), numbers.mat(), handle); });
    return out.values();
  };
  using Values = std::vector<float>;
  EXPECT_EQ(read(first.ids), (Values{0, 1, 2}));
  EXPECT_EQ(read(second.ids), (Values{7, 8, 9}));
  EXPECT_EQ(read(first.groups[0].kv_len), (Values{40}));
  EXPECT_EQ(read(second.groups[0].kv_len), (Values{41}));
}

}  // namespace
}  // namespace bessemer
