#include "tests/contract/harness.h"

#include <bit>
#include <cmath>

#include "kernels/cpu/kernels.h"

namespace bessemer {

std::ostream& operator<<(std::ostream& out, const Subject& subject) {
  return out << subject.label;
}

std::vector<Subject> cpu_subjects() {
  std::vector<Subject> found;
  for (const std::string isa : {"scalar", "avx2", "avx512", "amx"}) {
    if (!kernels::find_kernels(isa)) continue;
    found.push_back({isa, "cpu", {.threads = 2, .isa = isa}});
  }
  return found;
}

std::vector<Subject> subjects() {
  std::vector<Subject> found = cpu_subjects();
  found.push_back({"reference", "reference", {}});
  return found;
}

std::unique_ptr<Backend> make(const Subject& subject) {
  StatusOr<std::unique_ptr<Backend>> backend = make_backend(subject.backend, subject.options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? *std::move(backend) : nullptr;
}

std::unique_ptr<Backend> make_reference() {
  return make({"reference", "reference", {}});
}

std::string test_name(const testing::TestParamInfo<Subject>& info) {
  return info.param.label;
}

Matrix::Matrix(Backend& backend, int32_t rows, int32_t cols, int32_t gap) : gap_(gap) {
  const int32_t stride = cols + gap;
  const auto count = static_cast<size_t>(rows) * static_cast<size_t>(stride);
  buffer_ = *backend.allocate(count * sizeof(float));
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

void run(Backend& backend, const std::function<void()>& body) {
  const Ticket ticket = backend.run({}, body);
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
