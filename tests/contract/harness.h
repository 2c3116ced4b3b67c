// What the contract suite is made of: the backends under test, matrices in their memory, steps.
#pragma once
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/random.h"
#include "worker/backend/registry.h"

namespace bessemer {

// A backend and how it is made. gtest prints it by its label.
struct Subject {
  std::string label, backend;
  BackendOptions options = {};
  // Its arithmetic, as far as tolerances depend on it. Quantised weights meet rows of int8:
  bool int8_rows = false;
  // How far the two factors of a product's terms may be off together, relative to the term.
  double factor_error = 0;
};
std::ostream& operator<<(std::ostream& out, const Subject& subject);

// Every backend and instruction set that this machine can run, plug-ins with a device among them.
std::vector<Subject> subjects();
// Plug-ins that are not among them, and why: "cuda: ...".
std::vector<std::string> missing_subjects();
// The subjects that promise equal bits among each other (E5).
std::vector<Subject> cpu_subjects();
std::unique_ptr<Backend> make(const Subject& subject);
std::unique_ptr<Backend> make_reference();
std::string test_name(const testing::TestParamInfo<Subject>& info);

class ContractTest : public testing::TestWithParam<Subject> {
 protected:
  ContractTest() : reference_(make_reference()), subject_(make(GetParam())) {}
  bool is_reference() const { return GetParam().backend == "reference"; }

  Random random_{20240607};
  std::unique_ptr<Backend> reference_, subject_;
};

// A matrix in a backend's memory; `gap` values of another owner lie between its rows and must stay
// as they are. The host sees a copy: at() fetches what ops have left, mat() hands over what the host
// has written. So at() has no place inside a step.
class Matrix {
 public:
  Matrix(Backend& backend, int32_t rows, int32_t cols, int32_t gap = 0);
  // The same values in the memory of another backend.
  Matrix(Backend& backend, const Matrix& other);

  const Mat& mat() const;
  int32_t rows() const { return mat_.rows; }
  int32_t cols() const { return mat_.cols; }
  float& at(int32_t row, int32_t col) const;
  void fill(Random& random, float scale);
  std::vector<float> values() const;
  bool gap_untouched() const;

 private:
  static constexpr float kGapValue = 12345.0f;
  std::unique_ptr<Buffer> buffer_;
  Mat mat_;
  int32_t gap_;
  mutable std::vector<float> host_;
  mutable bool host_is_newer_ = true;
};

// Equal bits, but that NaN equals NaN.
testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b);

// Roughly normal, from sums of uniform values.
float normal(Random& random);

// Rounding error of one operation on f32.
constexpr double kUnit = 0x1p-24;

// Runs `body` as one step and waits for it.
void run(Backend& backend, const std::function<void()>& body, const StepKey& key = {});

// Ids 0.. and positions 0.. of one sequence, without KV.
StepInputs plain_step(int32_t rows);

}  // namespace bessemer
