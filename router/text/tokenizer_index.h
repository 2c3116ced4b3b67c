// Strings by number and numbers by string: one flat copy of the bytes and one open-addressing
// table.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

class StringIndex {
 public:
  // `strings` and `bytes` are the most that will be added.
  StringIndex(size_t strings, size_t bytes);

  // Numbers count from 0. Only the first of equal strings, and none that is not `findable`, is
  // found later.
  int32_t add(std::string_view string, bool findable = true);
  // -1: there is none.
  int32_t find(std::string_view string) const;

  std::string_view operator[](int32_t number) const {
    const auto at = static_cast<size_t>(number);
    return std::string_view(bytes_).substr(ends_[at], ends_[at + 1] - ends_[at]);
  }
  int32_t size() const { return static_cast<int32_t>(ends_.size()) - 1; }

 private:
  struct Slot {
    uint32_t tag = 0;     // high half of the hash
    int32_t number = -1;  // -1: free
  };
  // The slot that holds `string`, or the free one where it belongs.
  size_t locate(std::string_view string, uint64_t hash) const;

  std::string bytes_;
  std::vector<size_t> ends_{0};  // string i lies in [ends_[i], ends_[i + 1])
  std::vector<Slot> slots_;      // a power of two, at most half full
};

}  // namespace bessemer
