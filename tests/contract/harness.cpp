#include "tests/contract/harness.h"

#include <bit>
#include <cmath>
#include <span>

#include "kernels/cpu/kernels.h"

namespace bessemer {

std::ostream& operator<<(std::ostream& out, const Subject& subject) {
  return out << subject.label;
}

std::vector<Subject> cpu_subjects() {
  std::vector<Subject> found;
  for (const std::string isa : {"scalar", "avx2", "avx512", "amx"}) {
    if (!kernels::find_kernels(isa)) continue;
    found.push_back(
        {.label = isa, .backend = "cpu", .options = {.threads = 2, .isa = isa}, .int8_rows = true});
  }
  return found;
}

namespace {

// Products of many rows round both factors to bf16: 2^-9 each.
const Subject kCuda{.label = "cuda", .backend = "cuda", .factor_error = 0x1p-8};

// Of cuda, tried once.
const Status& cuda_status() {
  static const Status status = make_backend(kCuda.backend, kCuda.options).status();
  return status;
}

}  // namespace

std::vector<Subject> subjects() {
  std::vector<Subject> found = cpu_subjects();
  found.push_back({.label = "reference", .backend = "reference"});
  if (cuda_status().ok()) found.push_back(kCuda);
  return found;
}

std::vector<std::string> missing_subjects() {
  if (cuda_status().ok()) return {};
  return {"cuda: " + std::string(cuda_status().message())};
}

std::unique_ptr<Backend> make(const Subject& subject) {
  StatusOr<std::unique_ptr<Backend>> backend = make_backend(subject.backend, subject.options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

std::unique_ptr<Backend> make_reference() {
  return make({.label = "reference", .backend = "reference"});
}

std::string test_name(const testing::TestParamInfo<Subject>& info) {
  return info.param.label;
}

Matrix::Matrix(Backend& backend, int32_t rows, int32_t cols, int32_t gap) : gap_(gap) {
  const int32_t stride = cols + gap;
  const auto count = static_cast<size_t>(rows) * static_cast<size_t>(stride);
  buffer_ = *backend.allocate(count * sizeof(float));
  host_.resize(count);
  mat_ = {.buffer = buffer_.get(), .rows = rows, .cols = cols, .row_stride = stride};
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = cols; c < stride; ++c) at(r, c) = kGapValue;
  }
}

Matrix::Matrix(Backend& backend, const Matrix& other)
    : Matrix(backend, other.rows(), other.cols(), other.gap_) {
  for (int32_t r = 0; r < rows(); ++r) {
    for (int32_t c = 0; c < cols(); ++c) at(r, c) = other.at(r, c);
  }
}

const Mat& Matrix::mat() const {
  if (host_is_newer_) buffer_->write(0, std::as_bytes(std::span(host_)));
  host_is_newer_ = false;
  return mat_;
}

float& Matrix::at(int32_t row, int32_t col) const {
  if (!host_is_newer_) buffer_->read(0, std::as_writable_bytes(std::span(host_)));
  host_is_newer_ = true;
  return host_[static_cast<size_t>(row) * static_cast<size_t>(mat_.row_stride) +
               static_cast<size_t>(col)];
}

void Matrix::fill(Random& random, float scale) {
  for (int32_t r = 0; r < rows(); ++r) {
    for (int32_t c = 0; c < cols(); ++c) at(r, c) = scale * normal(random);
  }
}

std::vector<float> Matrix::values() const {
  std::vector<float> out;
  for (int32_t r = 0; r < rows(); ++r) {
    for (int32_t c = 0; c < cols(); ++c) out.push_back(at(r, c));
  }
  return out;
}

bool Matrix::gap_untouched() const {
  for (int32_t r = 0; r < rows(); ++r) {
    for (int32_t c = cols(); c < mat_.row_stride; ++c) {
      if (at(r, c) != kGapValue) return false;
    }
  }
  return true;
}

testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      return testing::AssertionFailure()
             << "value " << i << " of " << a.size() << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

float normal(Random& random) {
  double sum = 0;
  for (int i = 0; i < 6; ++i) sum += random.uniform() - 0.5;
  return static_cast<float>(sum * std::sqrt(2.0));
}

void run(Backend& backend, const std::function<void()>& body, const StepKey& key) {
  const Ticket ticket = backend.run(key, body);
  const Status status = backend.wait(ticket, TimePoint::max());
  ASSERT_TRUE(status.ok()) << status;
}

StepInputs plain_step(int32_t rows) {
  StepInputs inputs;
  for (int32_t r = 0; r < rows; ++r) {
    inputs.ids.push_back(r);
    inputs.positions.push_back(r);
  }
  inputs.query_start = {0, rows};
  return inputs;
}

}  // namespace bessemer
