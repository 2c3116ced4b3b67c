// How one attend() is cut into tasks for the threads.
//
// A *unit* is what one kernel call can do: up to kQueriesPerCall query heads that share a KV head
// of one sequence, over all chunks that they see. Most units are one task. Where that leaves
// threads idle (one stream, or one long context beside short ones) a unit is *split*: its tasks are
// runs of chunks, whose results whoever finishes last joins (kernels.h, join_chunks). Results of
// split units take memory, so long contexts are done in passes over a window of chunks each.
//
// Invariants
//   P1  In all passes together each chunk of each unit is in one task.
//   P2  Only a unit that is more than 1 / kUnitsPerShare of what a thread has to do is split, into
//       tasks of about 1 / kTasksPerShare: short contexts and many sequences pay nothing.
//   P3  Results of split units do not overlap, and lie within kPartialFloats for each thread.
//   P4  Tasks come largest first: sequences by their largest task, late rows before early ones. So
//       none that is claimed last keeps the others waiting.
//
// Of plain values: no memory but its own, no thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/kernels.h"

namespace bessemer::cpu {

// What attention is about in one step.
struct AttendWork {
  std::span<const int32_t> query_start;  // sequences + 1
  std::span<const int32_t> positions;    // per row
  std::span<const int32_t> kv_len;       // per sequence
  int32_t kv_heads = 0;
  int32_t heads = 0;  // query heads that share a KV head
  int32_t key_width = 0, value_width = 0;
  bool causal = true;
};

struct AttendTask {
  int32_t sequence, kv_head, first_query, queries;
  // The number of a split unit, below AttendPlan::kSplitUnits for each thread; -1: the task is a
  // whole unit, and what follows is void.
  int32_t unit = -1;
  size_t partials = 0;                       // where the results of window_begin lie, in floats
  int32_t begin = 0, end = 0;                // chunks of this task
  int32_t window_begin = 0, window_end = 0;  // chunks of the unit in this pass
};

class AttendPlan {
 public:
  // A unit of a quarter of a thread's share or less can go to any thread at any time: whoever is
  // last is late by no more than that. Eighths even out what other processes take.
  static constexpr int32_t kUnitsPerShare = 4, kTasksPerShare = 8;
  // Of each thread. Fewer than kUnitsPerShare a thread can take more than that part of a share each;
  // a prompt's early rows, which see less than its late ones, are split along with them.
  static constexpr int32_t kSplitUnits = 2 * kUnitsPerShare;
  // Room for one chunk of the widest units: 1.14 MiB for each thread.
  static constexpr size_t kPartialFloats =
      size_t{kSplitUnits} * kernels::kQueriesPerCall *
      kernels::attention_partial_floats(kernels::kMaxValueWidth);

  explicit AttendPlan(int32_t threads) : threads_(threads) {}

  // Room for steps of so many sequences.
  void reserve(int32_t sequences) { shares_.reserve(static_cast<size_t>(sequences)); }
  // `work` must outlive the plan's use.
  void make(const AttendWork& work);

  // Passes are made one after the other, each when the one before is done.
  int32_t passes() const { return passes_; }
  void begin_pass(int32_t pass);
  int32_t tasks() const { return tasks_; }
  AttendTask task(int32_t index) const;
  // Split units are numbered from 0; each has as many tasks in a pass as its sequence says.
  int32_t split_units() const { return split_units_; }
  template <typename Function>
  void for_split_units(const Function& function) const {  // function(unit, tasks)
    for (const Share& share : shares_) {
      for (int32_t i = 0; share.pieces > 1 && i < units(share); ++i)
        function(share.first_unit + i, share.pieces);
    }
  }

 private:
  // What a sequence has to be done.
  struct Share {
    int32_t sequence;
    int32_t queries;         // that share a KV head
    int32_t chunks;          // of its last query
    int32_t pieces = 1;      // tasks of a unit
    int32_t first_task = 0;  // in this pass
    int32_t first_unit = 0;  // if split
    size_t partials = 0;     // floats of the units before, for each chunk
    int64_t cost = 0;        // of its largest task
  };
  int32_t runs(const Share& share) const;
  int32_t units(const Share& share) const { return runs(share) * work_.kv_heads; }
  int64_t unit_cost(const Share& share) const;
  int64_t total_cost() const;
  void split(Share& share, int64_t fair);
  int32_t chunks_seen(const Share& share, int32_t first_query, int32_t queries) const;
  bool in_pass(const Share& share) const;

  const int32_t threads_;
  AttendWork work_;
  std::vector<Share> shares_;
  int32_t window_ = 0, pass_ = 0, passes_ = 0, tasks_ = 0, split_units_ = 0;
  size_t chunk_floats_ = 0;  // that all split units take for a chunk
};

}  // namespace bessemer::cpu
