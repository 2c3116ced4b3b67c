// Activations: 2-D views into buffers that a backend owns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/check.h"

namespace bessemer {

enum class DType : uint8_t {
  f32,
  f16,
  bf16,
  i32,
  i8,
  packed,  // a backend's private row form (int8 blocks, fp8 + row scale); only its own ops read it
};

// Bytes of one element; not for DType::packed.
constexpr size_t dtype_bytes(DType type) {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i8:
      return 1;
    case DType::packed:
      break;
  }
  return 0;
}

// Resource: owns memory of one backend; identity matters, never copied.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual size_t size_bytes() const = 0;
  // Address as the backend's kernels use it; on the CPU an ordinary pointer, aligned to 64 bytes.
  virtual std::byte* address() = 0;
  // Copies between host memory and the bytes from `offset` on, and is done when it returns. For
  // start-up, tools and tests; in a step, ops move data. The range must lie within the buffer.
  virtual void read(size_t offset, std::span<std::byte> to) = 0;
  virtual void write(size_t offset, std::span<const std::byte> from) = 0;
};

// Value: a view of rows = tokens in this step, cols = features. Never owns. There is no rank above
// 2: heads and experts are read from the op's parameters.
struct Mat {
  Buffer* buffer = nullptr;
  size_t offset_bytes = 0;
  int32_t rows = 0, cols = 0;
  int32_t row_stride = 0;  // elements
  DType dtype = DType::f32;

  std::byte* data() const { return buffer->address() + offset_bytes; }
  template <typename T>
  T* row(int32_t index) const {
    return reinterpret_cast<T*>(data()) + static_cast<ptrdiff_t>(index) * row_stride;
  }
};

// Columns [at, at + count) of every row.
inline Mat columns(Mat mat, int32_t at, int32_t count) {
  DCHECK(at >= 0 && at + count <= mat.cols);
  mat.offset_bytes += static_cast<size_t>(at) * dtype_bytes(mat.dtype);
  mat.cols = count;
  return mat;
}
// The first `count` rows.
inline Mat first_rows(Mat mat, int32_t count) {
  DCHECK(count >= 0 && count <= mat.rows);
  mat.rows = count;
  return mat;
}

}  // namespace bessemer
