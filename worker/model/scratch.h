// Activations of one step, carved out of a single allocation that is made at start.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "common/status.h"
#include "worker/backend/backend.h"

namespace bessemer {

class Scratch {
 public:
  // Notes a matrix of f32; `mat` is filled in by allocate(), with rows and cols as given. Rows
  // start on 64-byte borders.
  void want(Mat& mat, int32_t rows, int32_t cols) {
    constexpr int32_t kAlign = 16;  // floats in 64 bytes, a cache line and the widest vector
    const int32_t stride = (cols + kAlign - 1) / kAlign * kAlign;
    mat = {nullptr, size_bytes_, rows, cols, stride, DType::f32};
    wanted_.push_back(&mat);
    size_bytes_ += static_cast<size_t>(rows) * static_cast<size_t>(stride) * sizeof(float);
  }
  Status allocate(Backend& backend) {
    ASSIGN_OR_RETURN(buffer_, backend.allocate(size_bytes_));
    for (Mat* mat : wanted_) mat->buffer = buffer_.get();
    wanted_.clear();
    return absl::OkStatus();
  }
  size_t size_bytes() const { return size_bytes_; }

 private:
  std::vector<Mat*> wanted_;
  std::unique_ptr<Buffer> buffer_;
  size_t size_bytes_ = 0;
};

}  // namespace bessemer
