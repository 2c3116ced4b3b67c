// A span of one of the arrays that live in the same struct, so that the struct stays flat and
// copyable.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace bessemer {

struct Range {
  int32_t begin = 0, count = 0;
  bool operator==(const Range&) const = default;
};

template <typename T>
std::span<const T> slice(const std::vector<T>& array, Range range) {
  return std::span<const T>(array).subspan(static_cast<size_t>(range.begin),
                                           static_cast<size_t>(range.count));
}

// Appends `values` to `array` and says where they lie.
template <typename T, typename Values>
Range append(std::vector<T>& array, const Values& values) {
  const Range range{static_cast<int32_t>(array.size()), static_cast<int32_t>(std::size(values))};
  array.insert(array.end(), std::begin(values), std::end(values));
  return range;
}

}  // namespace bessemer
