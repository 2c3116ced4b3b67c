// What full blocks hold, so that equal beginnings are found again: a tree whose nodes are blocks of
// one pool. It knows neither owners nor ages; BlockPool decides what is entered and what goes.
//
// A node's name is (parent, ids), that of a chain's first block (root, ids): the root says whose
// chain it is, in bytes, and is part of the name of all blocks under it.
//
// Invariants
//   X1  A name has one node: insert() gives the one that has it already.
//   X2  Names are compared, never concluded: a hash leads to candidates and decides nothing, so
//       that any hash function is correct, if slow (E8).
//   X3  A node's parent is a node: only leaves are erased, so that what is here of a chain is
//       always a beginning of it (E10).
//
// Memory: 40 + 4 * block_tokens bytes a block, taken at once; and the roots of first blocks. For
// blocks of 16 tokens 104 bytes, 0.03 % of what such a block holds for SmolLM2-135M in f16.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/block_hash.h"

namespace bessemer {

constexpr int32_t kNoBlock = -1;

struct BlockName {
  int32_t parent = kNoBlock;     // kNoBlock: the first of its chain
  std::string_view root;         // of first blocks; the others have it from their parent
  BlockHash hash;                // of the chain up to and with this block
  std::span<const int32_t> ids;  // block_tokens of them
};

class PrefixIndex {
 public:
  // block_tokens 0: an index that stays empty.
  PrefixIndex(int32_t block_count, int32_t block_tokens);

  int32_t find(const BlockName& name) const;  // kNoBlock: there is none
  // The node of this name: the one that has it already, or else `block`, which is no node yet. The
  // parent is a node.
  int32_t insert(int32_t block, const BlockName& name);
  void erase(int32_t block);  // a leaf
  void clear();

  int32_t size() const { return size_; }
  bool contains(int32_t block) const { return at(block).children != kAbsent; }
  bool is_leaf(int32_t block) const { return at(block).children == 0; }
  int32_t parent_of(int32_t block) const { return at(block).parent; }
  BlockHash hash_of(int32_t block) const { return at(block).hash; }

 private:
  static constexpr int32_t kAbsent = -1;
  struct Node {
    BlockHash hash;
    int32_t parent = kNoBlock;
    int32_t children = kAbsent;
    int32_t next = kNoBlock;  // of those whose hashes fall together
  };
  Node& at(int32_t block) { return nodes_[static_cast<size_t>(block)]; }
  const Node& at(int32_t block) const { return nodes_[static_cast<size_t>(block)]; }
  int32_t& bucket(const BlockHash& hash) { return buckets_[hash.low & (buckets_.size() - 1)]; }
  std::span<const int32_t> ids_of(int32_t block) const;
  bool is_named(int32_t block, const BlockName& name) const;

  const size_t block_tokens_;
  std::vector<Node> nodes_;       // by block
  std::vector<int32_t> ids_;      // block_tokens each
  std::vector<int32_t> buckets_;  // heads of lists; as many as blocks, rounded up to a power of two
  std::unordered_map<int32_t, std::string> roots_;  // of first blocks
  int32_t size_ = 0;
};

}  // namespace bessemer
