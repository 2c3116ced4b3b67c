// Finds the tokens that are cut out of a text before it is tokenised: control and user-defined
// ones.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace bessemer {

// Leftmost match, of those the longest. A trie: each position costs at most the longest spelling,
// and a position whose byte begins no spelling costs one table look-up.
class SpecialMatcher {
 public:
  struct Entry {
    std::string_view spelling;  // not empty
    int32_t id;
  };
  // The spellings are copied.
  explicit SpecialMatcher(std::vector<Entry> entries);

  struct Match {
    size_t begin = 0, end = 0;  // bytes of the text
    int32_t id = -1;            // -1: no match; begin = end = text.size()
  };
  Match find(std::string_view text, size_t from) const;

 private:
  struct Node {
    int32_t first_edge = 0, edges = 0;
    int32_t id = -1;  // the spelling that ends here
  };
  struct Edge {
    uint8_t byte;
    int32_t node;
  };
  // Entries [begin, end) of the sorted list agree in their first `depth` bytes and go below `node`.
  struct Work {
    int32_t node = 0;
    size_t begin = 0, end = 0, depth = 0;
  };
  // Fills the node; returns what is left to do for its children.
  std::vector<Work> build(const std::vector<Entry>& entries, Work work);
  int32_t child(const Node& node, uint8_t byte) const;  // -1: none
  Match match_at(std::string_view text, size_t at) const;

  std::array<bool, 256> starts_{};
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

}  // namespace bessemer
