#include "router/text/tokenizer_specials.h"

#include <algorithm>
#include <tuple>

namespace bessemer {

SpecialMatcher::SpecialMatcher(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.spelling, a.id) < std::tie(b.spelling, b.id);
  });
  for (const Entry& entry : entries) starts_[static_cast<uint8_t>(entry.spelling[0])] = true;
  nodes_.emplace_back();
  std::vector<Work> todo{
      {0, 0, entries.size(), 0}};  // not recursive: a hostile file may have a spelling of megabytes
  while (!todo.empty()) {
    const Work work = todo.back();
    todo.pop_back();
    const std::vector<Work> children = build(entries, work);
    todo.insert(todo.end(), children.begin(), children.end());
  }
}

std::vector<SpecialMatcher::Work> SpecialMatcher::build(const std::vector<Entry>& entries,
                                                        Work work) {
  const auto node = static_cast<size_t>(work.node);
  for (; work.begin < work.end && entries[work.begin].spelling.size() == work.depth; ++work.begin) {
    if (nodes_[node].id < 0) nodes_[node].id = entries[work.begin].id;
  }
  nodes_[node].first_edge = static_cast<int32_t>(edges_.size());
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(entries[i].spelling[work.depth]); };
  std::vector<Work> children;
  for (size_t i = work.begin; i < work.end; ++i) {
    if (i == work.begin || byte(i) != byte(i - 1)) {
      const auto child = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.push_back({byte(i), child});
      children.push_back({child, i, i, work.depth + 1});
    }
    children.back().end = i + 1;
  }
  nodes_[node].edges = static_cast<int32_t>(children.size());
  return children;
}

int32_t SpecialMatcher::child(const Node& node, uint8_t byte) const {
  const auto begin = edges_.begin() + node.first_edge, end = begin + node.edges;
  const auto edge =
      std::lower_bound(begin, end, byte, [](const Edge& e, uint8_t b) { return e.byte < b; });
  return edge != end && edge->byte == byte ? edge->node : -1;
}

SpecialMatcher::Match SpecialMatcher::match_at(std::string_view text, size_t at) const {
  Match longest;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = child(nodes_[static_cast<size_t>(node)], static_cast<uint8_t>(text[i]));
    if (node < 0) break;
    const int32_t id = nodes_[static_cast<size_t>(node)].id;
    if (id >= 0) longest = {at, i + 1, id};
  }
  return longest;
}

SpecialMatcher::Match SpecialMatcher::find(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<uint8_t>(text[at])]) continue;
    if (const Match match = match_at(text, at); match.id >= 0) return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace bessemer
