// Blocks of one pool in the order in which they came, each of them once at most. Every operation
// takes constant time; no memory is taken after construction.
#pragma once
#include <cstdint>
#include <vector>

#include "common/check.h"

namespace bessemer {

class BlockList {
 public:
  explicit BlockList(int32_t block_count)
      : end_(block_count), links_(static_cast<size_t>(block_count) + 1) {
    at(end_) = {end_, end_};
  }

  bool empty() const { return size_ == 0; }
  int32_t size() const { return size_; }
  bool contains(int32_t block) const { return at(block).next != kNowhere; }
  int32_t front() const { return at(end_).next; }  // needs !empty()

  void push_back(int32_t block) {
    CHECK(!contains(block));
    const int32_t last = at(end_).previous;
    at(block) = {last, end_};
    at(last).next = at(end_).previous = block;
    ++size_;
  }
  void erase(int32_t block) {
    CHECK(contains(block));
    const Link link = at(block);
    at(link.previous).next = link.next;
    at(link.next).previous = link.previous;
    at(block) = {};
    --size_;
  }
  int32_t pop_front() {
    CHECK(!empty());
    const int32_t block = front();
    erase(block);
    return block;
  }
  // For checks: visit(block), oldest first.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (int32_t block = front(); block != end_; block = at(block).next) visit(block);
  }

 private:
  static constexpr int32_t kNowhere = -1;
  struct Link {
    int32_t previous = kNowhere, next = kNowhere;
  };
  Link& at(int32_t block) { return links_[static_cast<size_t>(block)]; }
  const Link& at(int32_t block) const { return links_[static_cast<size_t>(block)]; }

  const int32_t end_;  // a ring: the link behind those of the blocks is before the first
  std::vector<Link> links_;
  int32_t size_ = 0;
};

}  // namespace bessemer
