// What the engine knows of a request and of its choices. Owned and changed by the scheduler alone
// (E1).
//
// Intervals of a choice's history = prompt + output, in tokens; rows are positions whose KV is
// computed:
//
//   0 ........ computed ........ known ........ length
//   |  launched   |  to compute    |  drawing     |
//
//   computed   rows that launched steps have computed or will have
//   known      prompt + output: what the host has seen
//   length     known + drawing: tokens there will be once every launched step has come back
//
//   S1  computed < length while the choice can go on: at least one row is always left, the one that
//       is drawn from.
//   S2  drawing <= in_flight; a choice is opened (again) only when in_flight is 0, so that its
//       whole history is known.
//   S3  While the choice has a slot, kv covers its computed rows, and from the start all of the
//       history that it had then; a waiting one has blocks only as a fork or where it was parked, a
//       pending one has none.
//   S4  A pending choice's source is running and will have entered `awaited` blocks into the cache
//       if nothing stops it; whatever stops it wakes the pending ones.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "worker/engine/request.h"
#include "worker/engine/step.h"
#include "worker/kv/kv_space.h"

namespace bessemer {

enum class Phase : uint8_t {
  following,  // waits for the leader's prompt, which it will share
  pending,    // waits for a prefix that a running choice, most often another request's, computes
  waiting,    // could run; has no slot
  running,    // has a slot
  parked,     // has all that its receiver takes for now: no slot, perhaps blocks
  ended,
};

struct ActiveRequest;

struct Sequence {
  ActiveRequest* request = nullptr;
  int32_t choice = 0;
  Phase phase = Phase::following;
  int32_t slot = -1;
  std::vector<int32_t> output;
  int32_t computed = 0;
  int32_t drawing = 0;     // draws launched and not committed
  int32_t in_flight = 0;   // Works launched and not committed
  int32_t high_water = 0;  // rows below it have been computed before: computing them again is waste
  KvTable kv;
  std::vector<int32_t> told;  // per KV group: blocks of `kv` that the slot's table has been told of
  const Sequence* source = nullptr;  // while pending: who computes what it waits for,
  int32_t awaited = 0;               // and how many blocks of it

  int32_t generated() const { return static_cast<int32_t>(output.size()); }
  int32_t known() const;
  int32_t length() const;
  int32_t rows_left() const { return length() - computed; }
  // It has all the tokens it may have.
  bool is_full() const;
  // It has fewer than its receiver takes for now.
  bool has_credit() const;
  // Whether another token may be drawn, as far as is known before the launched ones have come back.
  bool may_draw() const;
};

struct ActiveRequest {
  Request request;
  uint64_t order = 0;                                        // of arrival
  int32_t send_until = std::numeric_limits<int32_t>::max();  // the most that was said, if anything
  TimePoint arrived{}, started = TimePoint::max(), first_token = TimePoint::max();
  std::vector<Sequence> choices;
  int32_t leader = 0;  // the choice that computes the prompt for all
  bool prompt_done =
      false;               // its last chunk has been launched: there is nothing to follow any more
  int32_t live = 0;        // choices that have not ended
  int32_t slots = 0;       // choices that are running
  int32_t scored = 0;      // prompt rows whose scores have been delivered
  int32_t score_next = 0;  // prompt rows whose scores have been asked for
  StepId progress_step = 0;  // of the last Progress: one a step
  int32_t recomputed = 0, preemptions = 0;
  std::vector<BlockHash> hashes;  // of the prompt's full blocks, where there is a prefix cache
  int32_t found = 0;              // prompt rows that the cache had when it started
  int32_t expected = 0;           // prompt rows that it will not compute, as far as is known before

  int32_t prompt_len() const { return static_cast<int32_t>(request.prompt.size()); }
  bool is_started() const { return started != TimePoint::max(); }
  // None of its choices can go on before there is credit.
  bool is_parked() const;
};

// The one order in which choices get rows, slots and blocks: priority, then arrival, then choice.
bool goes_before(const Sequence& a, const Sequence& b);

// Rows of `sequence` for one step, and what is wanted of them.
struct Chunk {
  int32_t count = 0;  // 0: it cannot run within these budgets
  Want want = Want::nothing;
  int32_t logit_rows() const;
};
// The largest chunk within the budgets. Rows that are scored want logits each, the last row one for
// the draw.
// The first `found` rows are there already; they are none where rows are scored.
Chunk next_chunk(const Sequence& sequence, int32_t rows, int32_t logit_rows, int32_t found = 0);

}  // namespace bessemer
