// Sorting with an order that may fail.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "router/text/jinja/operators.h"

namespace bessemer::jinja {

// Merge sort, stable; `less(a, b)` returns StatusOr<bool>. The standard's sort cannot stop at an
// error.
template <typename T, typename Less>
Status stable_sort(std::vector<T>& items, const Less& less) {
  std::vector<T> merged(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin, right = middle;
      for (size_t at = begin; at < end; ++at) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          ASSIGN_OR_RETURN(take_right, less(items[right], items[left]));
        }
        merged[at] = items[take_right ? right++ : left++];
      }
    }
    items.swap(merged);
  }
  return {};
}

}  // namespace bessemer::jinja
