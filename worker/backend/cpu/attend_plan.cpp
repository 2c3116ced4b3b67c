#include "worker/backend/cpu/attend_plan.h"

#include <algorithm>

#include "common/check.h"
#include "worker/backend/cpu/ceil_div.h"

namespace bessemer::cpu {
namespace {

using kernels::kKvChunk;
using kernels::kQueriesAtOnce;
using kernels::kQueriesPerCall;

// Multiply-adds that are worth a task: some microseconds of one core, where a claim takes a tenth
// of one.
constexpr int64_t kLeastWork = 32 * 1024;

// Queries as they cost: a micro-kernel loads keys and values for up to kQueriesAtOnce together.
constexpr int64_t loads(int32_t queries) {
  return ceil_div(queries, kQueriesAtOnce);
}

}  // namespace

int32_t AttendPlan::runs(const Share& share) const {
  return ceil_div(share.queries, kQueriesPerCall);
}

int64_t AttendPlan::unit_cost(const Share& share) const {
  return loads(std::min(share.queries, kQueriesPerCall)) * share.chunks;
}

// Rows see on average half of what the step adds to the sequence.
int64_t AttendPlan::total_cost() const {
  int64_t total = 0;
  for (const Share& share : shares_) {
    const int32_t added = work_.causal ? share.queries / work_.heads / 2 / kKvChunk : 0;
    total += loads(share.queries) * (share.chunks - added) * work_.kv_heads;
  }
  return total;
}

void AttendPlan::make(const AttendWork& work) {
  work_ = work;
  shares_.clear();
  const auto sequences = static_cast<int32_t>(work.kv_len.size());
  CHECK(shares_.capacity() >= work.kv_len.size());
  int32_t longest = 1;
  for (int32_t s = 0; s < sequences; ++s) {
    const auto i = static_cast<size_t>(s);
    const int32_t rows = work.query_start[i + 1] - work.query_start[i];
    const int32_t chunks = ceil_div(work.kv_len[i], kKvChunk);
    shares_.push_back({.sequence = s, .queries = rows * work.heads, .chunks = chunks});
    longest = std::max(longest, chunks);
  }
  split_units_ = 0;
  chunk_floats_ = 0;
  const int64_t fair = total_cost() / threads_;
  for (Share& share : shares_) {
    split(share, fair);
    share.cost = ceil_div(unit_cost(share), share.pieces);
  }
  std::ranges::sort(shares_, [](const Share& a, const Share& b) {
    return a.cost != b.cost ? a.cost > b.cost : a.sequence < b.sequence;
  });
  const size_t room = kPartialFloats * static_cast<size_t>(threads_);
  window_ = chunk_floats_ == 0 ? longest
                               : static_cast<int32_t>(std::min<size_t>(
                                     room / chunk_floats_, static_cast<size_t>(longest)));
  CHECK(window_ > 0);
  passes_ = split_units_ == 0 ? 1 : ceil_div(longest, window_);
}

void AttendPlan::split(Share& share, int64_t fair) {
  const int32_t queries = std::min(share.queries, kQueriesPerCall);
  const int64_t cost = unit_cost(share);
  if (threads_ == 1 || cost * kUnitsPerShare <= fair) return;
  if (split_units_ + units(share) > kSplitUnits * threads_) return;
  const int64_t chunk_work =
      loads(queries) * kQueriesAtOnce * kKvChunk * (work_.key_width + work_.value_width);
  const int32_t wanted = ceil_div(cost * kTasksPerShare, std::max<int64_t>(fair, 1));
  const int32_t pieces = std::min(wanted, share.chunks / ceil_div(kLeastWork, chunk_work));
  if (pieces < 2) return;
  share.pieces = pieces;
  share.first_unit = split_units_;
  share.partials = chunk_floats_;
  split_units_ += units(share);
  chunk_floats_ += static_cast<size_t>(units(share)) * static_cast<size_t>(queries) *
                   static_cast<size_t>(kernels::attention_partial_floats(work_.value_width));
}

bool AttendPlan::in_pass(const Share& share) const {
  return pass_ == 0 || (share.pieces > 1 && share.chunks > pass_ * window_);
}

void AttendPlan::begin_pass(int32_t pass) {
  pass_ = pass;
  tasks_ = 0;
  for (Share& share : shares_) {
    share.first_task = tasks_;
    if (in_pass(share)) tasks_ += units(share) * share.pieces;
  }
}

// Of a run of queries.
int32_t AttendPlan::chunks_seen(const Share& share, int32_t first_query, int32_t queries) const {
  const auto s = static_cast<size_t>(share.sequence);
  if (!work_.causal) return share.chunks;
  int32_t last = -1;
  const int32_t first_row = work_.query_start[s] + first_query / work_.heads;
  const int32_t last_row = work_.query_start[s] + (first_query + queries - 1) / work_.heads;
  for (int32_t row = first_row; row <= last_row; ++row)
    last = std::max(last, work_.positions[static_cast<size_t>(row)]);
  return std::min(share.chunks, ceil_div(last + 1, kKvChunk));
}

// The last queries first: they see the most.
AttendTask AttendPlan::task(int32_t index) const {
  const auto after = std::ranges::upper_bound(shares_, index, {}, &Share::first_task);
  const Share& share = *(after - 1);
  const int32_t within = index - share.first_task;
  const int32_t unit = within / share.pieces, piece = within % share.pieces;
  const int32_t runs = this->runs(share), run = runs - 1 - unit % runs;
  const int32_t first_query = run * kQueriesPerCall;
  AttendTask task{.sequence = share.sequence,
                  .kv_head = unit / runs,
                  .first_query = first_query,
                  .queries = std::min(share.queries - first_query, kQueriesPerCall)};
  if (share.pieces == 1) return task;
  const auto most = static_cast<size_t>(std::min(share.queries, kQueriesPerCall));
  const size_t unit_floats =
      most * static_cast<size_t>(kernels::attention_partial_floats(work_.value_width));
  task.unit = share.first_unit + unit;
  task.partials =
      (share.partials + static_cast<size_t>(unit) * unit_floats) * static_cast<size_t>(window_);
  const int32_t seen = chunks_seen(share, first_query, task.queries);
  task.window_begin = std::min(pass_ * window_, seen);
  task.window_end = std::min(task.window_begin + window_, seen);
  const int64_t count = task.window_end - task.window_begin;
  task.begin = task.window_begin + static_cast<int32_t>(count * piece / share.pieces);
  task.end = task.window_begin + static_cast<int32_t>(count * (piece + 1) / share.pieces);
  return task;
}

}  // namespace bessemer::cpu
