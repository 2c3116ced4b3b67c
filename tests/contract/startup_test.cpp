// What may be refused, is refused with a message that names the thing; abort ends the work.
#include <gmock/gmock.h>

#include "tests/contract/harness.h"
#include "tests/contract/weights.h"

namespace bessemer {
namespace {

using testing::HasSubstr;

using StartupTest = ContractTest;
INSTANTIATE_TEST_SUITE_P(Backends, StartupTest, testing::ValuesIn(subjects()), test_name);

std::string refusal(Backend& backend, const std::vector<WeightPart>& parts) {
  const StatusOr<WeightPtr> weight = backend.pack(parts);
  EXPECT_FALSE(weight.ok());
  return std::string(weight.status().message());
}

TEST_P(StartupTest, PackNamesThePartItRefuses) {
  const RawWeight raw = random_weight(random_, TensorType::q4_0, 4, 64);
  WeightPart part = raw.part();
  part.name = "blk.3.attn_q.weight";
  EXPECT_THAT(refusal(*subject_, {}), HasSubstr("at least one part"));
  WeightPart bad = part;
  bad.bytes = bad.bytes.first(bad.bytes.size() - 1);
  EXPECT_THAT(refusal(*subject_, {part, bad}), HasSubstr("blk.3.attn_q.weight"));
  bad = part;
  bad.cols = 48;
  bad.rows = 1;
  EXPECT_THAT(refusal(*subject_, {bad}), HasSubstr("no multiple of the 32"));
  bad = part;
  bad.cols = 32;
  EXPECT_THAT(refusal(*subject_, {part, bad}), HasSubstr("has 32 columns, the parts before it 64"));
  bad = part;
  bad.rows = 0;
  bad.bytes = {};
  EXPECT_THAT(refusal(*subject_, {bad}), HasSubstr("must be positive"));
  const std::vector<float> bias(3);
  bad = part;
  bad.bias = bias;
  EXPECT_THAT(refusal(*subject_, {bad}), HasSubstr("3 biases for 4 rows"));
}

TEST_P(StartupTest, RopeTableNeedsFrequenciesAndPositions) {
  EXPECT_FALSE(subject_->make_rope_table({}, 16, 1.0f).ok());
  const double one[] = {1.0};
  EXPECT_FALSE(subject_->make_rope_table(one, 0, 1.0f).ok());
}

TEST_P(StartupTest, BuffersAreAlignedAndZero) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{4096}, size_t{100001}}) {
    const std::unique_ptr<Buffer> buffer = *subject_->allocate(bytes);
    EXPECT_EQ(buffer->size_bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->address()) % 64, 0u);
    std::vector<std::byte> content(bytes, std::byte{1});
    buffer->read(0, content);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(content[i], std::byte{0});
  }
}

TEST_P(StartupTest, BuffersAreReadAndWrittenInParts) {
  const std::unique_ptr<Buffer> buffer = *subject_->allocate(10);
  const std::byte two[] = {std::byte{1}, std::byte{2}};
  buffer->write(0, two);
  buffer->write(7, two);
  buffer->write(10, {});
  std::byte content[4];
  buffer->read(6, content);
  EXPECT_EQ(std::vector(content, content + 4),
            (std::vector{std::byte{0}, std::byte{1}, std::byte{2}, std::byte{0}}));
}

// Which of the suite's backends this machine cannot show, in words.
TEST(Subjects, PlugInsWithADeviceAreAmongThem) {
  std::string missing;
  for (const std::string& subject : missing_subjects()) missing += subject + "\n";
  if (!missing.empty()) GTEST_SKIP() << missing;
}

TEST_P(StartupTest, AbortedWorkIsReportedByWait) {
  const RawWeight raw = random_weight(random_, TensorType::f32, 64, 64);
  const WeightPart part = raw.part();
  WeightPtr weight = *subject_->pack({&part, 1});
  Matrix x(*subject_, 4, 64), out(*subject_, 4, 64);
  x.fill(random_, 1.0f);
  const Ticket ticket = subject_->run({}, [&] {
    subject_->linear(out.mat(), x.mat(), *weight);
    subject_->abort();
    subject_->add(x.mat(), out.mat());
  });
  const std::vector<float> after = x.values();
  EXPECT_EQ(subject_->wait(ticket, TimePoint::max()).code(), absl::StatusCode::kAborted);
}

TEST_P(StartupTest, NumericsNamesTheArithmetic) {
  EXPECT_FALSE(subject_->numerics().empty());
  EXPECT_EQ(subject_->numerics() == "reference", is_reference());
}

}  // namespace
}  // namespace bessemer
