#include "worker/engine/row_shares.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bessemer {
namespace {

int32_t share_of_first(const RowDemand& first, int32_t rows) {
  return std::min(first.rows, rows - rows / 2);
}

// Among equals; returns what is left.
int32_t share_equally(std::span<const RowDemand> demands, int32_t rows, std::span<int32_t> shares) {
  shares[0] = share_of_first(demands[0], rows);
  int32_t left = rows - shares[0];
  std::vector<size_t> others(demands.size() - 1);
  std::iota(others.begin(), others.end(), size_t{1});
  std::ranges::sort(others, {}, [&](size_t i) { return std::pair(demands[i].rows, i); });
  for (const size_t i : others) {
    shares[i] = std::min(demands[i].rows, left);
    left -= shares[i];
  }
  const int32_t more = std::min(demands[0].rows - shares[0], left);
  shares[0] += more;
  return left - more;
}

size_t count_equals(std::span<const RowDemand> demands) {
  const auto other = std::ranges::find_if(
      demands, [&](const RowDemand& each) { return each.priority != demands[0].priority; });
  return static_cast<size_t>(other - demands.begin());
}

}  // namespace

std::vector<int32_t> share_rows(std::span<const RowDemand> demands, int32_t rows) {
  std::vector<int32_t> shares(demands.size());
  for (size_t begin = 0; begin < demands.size();) {
    const size_t count = count_equals(demands.subspan(begin));
    rows =
        share_equally(demands.subspan(begin, count), rows, std::span(shares).subspan(begin, count));
    begin += count;
  }
  return shares;
}

bool has_share(std::span<const RowDemand> demands, const RowDemand& one_more, int32_t rows) {
  bool first = true;  // of its priority
  for (const RowDemand& each : demands) {
    if (each.priority != one_more.priority) {
      rows -= std::min(each.rows, rows);
    } else if (first) {
      rows -= share_of_first(each, rows);
      first = false;
    } else if (each.rows <= one_more.rows) {
      rows -= std::min(each.rows, rows);
    }
  }
  return rows > 0;
}

}  // namespace bessemer
