// The merge loop of byte pair encoding: the adjacent pair with the lowest rank becomes one symbol,
// of equal ranks the leftmost, until no pair can be merged. Byte-level BPE ranks pairs by its list
// of merges, SentencePiece by the score of their product.
//
// Short pieces, nearly all of them, are scanned; beyond kScanLimit symbols a heap keeps the time at
// O(n log n).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace bessemer {

struct BpeSymbol {
  int32_t id;
  uint32_t begin, end;  // bytes of the piece
};

struct BpePair {
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  uint32_t rank = kNone;  // kNone: the two are never merged
  int32_t product = -1;
};

// The symbols of one piece, merged in place. Reused from piece to piece to keep its memory.
class BpeMerger {
 public:
  // Where scanning and the heap cost the same on words of 5 to 200 letters lies anywhere between 40
  // and 100.
  static constexpr size_t kScanLimit = 64;

  std::vector<BpeSymbol> symbols;

  // find(const BpeSymbol& left, const BpeSymbol& right) -> BpePair; a function of the two alone.
  template <typename Find>
  void merge(const Find& find) {
    if (symbols.size() < 2) return;
    pairs_.assign(symbols.size(), {});
    for (size_t i = 0; i + 1 < symbols.size(); ++i) pairs_[i] = find(symbols[i], symbols[i + 1]);
    symbols.size() <= kScanLimit ? merge_by_scan(find) : merge_by_heap(find);
  }

 private:
  template <typename Find>
  void merge_by_scan(const Find& find) {
    size_t count = symbols.size();
    while (true) {
      const auto less = [](const BpePair& a, const BpePair& b) { return a.rank < b.rank; };
      const auto pairs = pairs_.begin();
      const auto best = std::min_element(pairs, pairs + static_cast<ptrdiff_t>(count), less);
      if (best->rank == BpePair::kNone) break;
      const auto at = static_cast<size_t>(best - pairs);
      symbols[at] = {best->product, symbols[at].begin, symbols[at + 1].end};
      std::copy(symbols.begin() + static_cast<ptrdiff_t>(at + 2),
                symbols.begin() + static_cast<ptrdiff_t>(count),
                symbols.begin() + static_cast<ptrdiff_t>(at + 1));
      std::copy(best + 1, pairs + static_cast<ptrdiff_t>(count), best);
      --count;
      pairs_[at] = at + 1 < count ? find(symbols[at], symbols[at + 1]) : BpePair{};
      if (at > 0) pairs_[at - 1] = find(symbols[at - 1], symbols[at]);
    }
    symbols.resize(count);
  }

  // A pair waits in the heap with the rank it had; it is stale when pairs_ has another one there by
  // now.
  template <typename Find>
  void merge_by_heap(const Find& find) {
    const auto count = static_cast<uint32_t>(symbols.size());
    constexpr uint32_t kEnd = std::numeric_limits<uint32_t>::max();
    links_.resize(count);
    heap_.clear();
    const auto push = [&](uint32_t at) {
      if (pairs_[at].rank == BpePair::kNone) return;
      heap_.push_back(uint64_t{pairs_[at].rank} << 32 | at);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    };
    for (uint32_t i = 0; i < count; ++i)
      links_[i] = {i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
    for (uint32_t i = 0; i < count; ++i) push(i);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const auto at = static_cast<uint32_t>(heap_.back());
      const auto rank = static_cast<uint32_t>(heap_.back() >> 32);
      heap_.pop_back();
      if (pairs_[at].rank != rank) continue;
      const uint32_t right = links_[at].next;
      symbols[at] = {pairs_[at].product, symbols[at].begin, symbols[right].end};
      pairs_[right].rank = BpePair::kNone;
      symbols[right].end = symbols[right].begin;  // empty: merged away
      const uint32_t next = links_[right].next, previous = links_[at].previous;
      links_[at].next = next;
      if (next != kEnd) links_[next].previous = at;
      pairs_[at] = next == kEnd ? BpePair{} : find(symbols[at], symbols[next]);
      push(at);
      if (previous == kEnd) continue;
      pairs_[previous] = find(symbols[previous], symbols[at]);
      push(previous);
    }
    std::erase_if(symbols, [](const BpeSymbol& symbol) { return symbol.begin == symbol.end; });
  }

  struct Links {
    uint32_t previous, next;
  };
  std::vector<BpePair> pairs_;  // of symbol i and its right neighbour
  std::vector<Links> links_;
  std::vector<uint64_t> heap_;  // rank in the high half, position in the low one
};

}  // namespace bessemer
