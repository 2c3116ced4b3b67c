// GGUF v2 and v3 files, read through mmap. Format: the GGUF specification of the ggml project.
//
// Every count, length and offset in the file is checked against the bytes that are left before
// anything is allocated or read, so a malformed file costs at most a small multiple of its own
// size. Errors name file, key or tensor, and byte offset.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"
#include "common/tensor_type.h"

namespace bessemer {

enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

// Elements of one type; numbers stay as they lie in the file (unaligned), strings are indexed.
// Nested arrays are refused.
struct GgufArray {
  GgufType element{};
  uint64_t count = 0;
  std::span<const std::byte> bytes;       // numbers and booleans: count x size
  std::vector<std::string_view> strings;  // GgufType::string only
};

// A metadata value. Strings are views into the mapping.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string_view, GgufArray, uint64_t, int64_t, double>;

struct GgufTensor {
  std::string_view name;
  TensorType type{};
  std::vector<int64_t> shape;  // as stored: shape[0] is contiguous (columns); each in [1, 2^31)
  uint64_t file_offset = 0;    // of the data, from the start of the file
  std::span<const std::byte> bytes;

  int32_t cols() const { return static_cast<int32_t>(shape.empty() ? 1 : shape[0]); }
  int64_t rows() const {
    int64_t rows = 1;
    for (size_t i = 1; i < shape.size(); ++i) rows *= shape[i];
    return rows;
  }
};

// What the reader accepts at most. Counts and lengths are bounded by the file itself.
constexpr size_t kMaxGgufKeyBytes = 65535;         // the specification's
constexpr size_t kMaxGgufTensorNameBytes = 64;     // the specification's
constexpr uint32_t kMaxGgufDimensions = 4;         // the specification's
constexpr uint64_t kMaxGgufDimension = INT32_MAX;  // columns and rows are int32 in the kernels

// Immutable; keeps the mapping alive.
class GgufFile {
 public:
  // The file must not be truncated while it is open: the mapping would fault.
  static StatusOr<std::shared_ptr<const GgufFile>> open(const std::string& path);
  // The same on bytes that outlive the result; `name` stands in errors. For tests and fuzzing.
  static StatusOr<std::shared_ptr<const GgufFile>> parse(std::span<const std::byte> bytes,
                                                         std::string name);
  ~GgufFile();
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t size_bytes() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }  // the whole file
  uint32_t alignment() const { return alignment_; }
  // Both in file order.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  const GgufValue* find(std::string_view key) const;      // nullptr: missing
  const GgufTensor* tensor(std::string_view name) const;  // nullptr: missing
  // Typed look-ups. NotFound: the key is missing; InvalidArgument: it has another type or does not
  // fit. Any integer type that holds the value is accepted, and either float type.
  StatusOr<std::string> get_string(std::string_view key) const;
  StatusOr<int64_t> get_int(std::string_view key) const;
  StatusOr<double> get_float(std::string_view key) const;
  StatusOr<bool> get_bool(std::string_view key) const;
  StatusOr<const GgufArray*> get_array(std::string_view key) const;
  // Arrays as copies, with the same rules for every element.
  StatusOr<std::vector<int64_t>> get_ints(std::string_view key) const;
  StatusOr<std::vector<float>> get_floats(std::string_view key) const;

 private:
  GgufFile() = default;
  Status read();
  Status index_keys();
  Status index_tensors();

  std::string path_;
  std::span<const std::byte> bytes_;
  bool mapped_ = false;
  uint32_t version_ = 0, alignment_ = 32;
  std::vector<std::pair<std::string_view, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> keys_by_name_, tensors_by_name_;  // positions, sorted by name
};

// "u32", "string", "f32 array" ...
std::string type_name(GgufType type);
std::string type_name(const GgufValue& value);
GgufType type_of(const GgufValue& value);
// Bytes of one value; 0 for strings and arrays.
size_t size_of(GgufType type);
// Element `i` of an array, i < count. CHECKs that it is in range; never an array itself.
GgufValue element_at(const GgufArray& array, uint64_t i);

}  // namespace bessemer
