// Choices in the one order (goes_before): a sorted array, since a few hundred pointers move faster
// than a tree is walked.
#pragma once
#include <algorithm>
#include <vector>

#include "common/check.h"
#include "worker/engine/sequence.h"

namespace bessemer {

class SequenceQueue {
 public:
  void insert(Sequence& sequence) { items_.insert(place_of(sequence), &sequence); }
  void erase(Sequence& sequence) {
    const auto at = place_of(sequence);
    CHECK(at != items_.end() && *at == &sequence);
    items_.erase(at);
  }
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  Sequence& operator[](size_t index) const { return *items_[index]; }
  Sequence& last() const { return *items_.back(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<Sequence*>::iterator place_of(Sequence& sequence) {
    return std::lower_bound(
        items_.begin(), items_.end(), &sequence,
        [](const Sequence* a, const Sequence* b) { return goes_before(*a, *b); });
  }
  std::vector<Sequence*> items_;
};

}  // namespace bessemer
