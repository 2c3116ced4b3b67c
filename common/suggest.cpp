#include "common/suggest.h"

#include <algorithm>
#include <numeric>

namespace bessemer {
namespace {

constexpr size_t kMaxBytes = 64;  // longer names are no misspellings, and the cost is quadratic

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost one
// each.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + same});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string_view nearest(std::string_view wrong, const std::vector<std::string_view>& known) {
  if (wrong.size() > kMaxBytes) return {};
  // A third of the letters may be wrong; beyond that a suggestion would be a guess.
  size_t best = (wrong.size() + 2) / 3 + 1;
  std::string_view found;
  for (const std::string_view name : known) {
    const size_t distance = edit_distance(wrong, name);
    if (distance < best) {
      best = distance;
      found = name;
    }
  }
  return found;
}

}  // namespace bessemer
