// Decides what every step computes. Pure: no thread, clock or device; the same calls give the same
// plans and events, so a run can be replayed. One owner (E1).
//
// A step has one budget of rows and one of logit rows. Streams come first: every running choice that
// draws has its row in every step, since there are never more slots than rows. What is left, or what
// leaves the step as short as streams want it (chunk_pace.h), is divided among the prompts
// (row_shares.h), running ones and those that start, in one order (goes_before).
//
// Blocks. A choice gets the blocks of its whole history when it starts, and one more whenever it
// grows over a border. Where none is left, the last in the order gives up its own and is recomputed
// later: waiting forks first, then running choices behind the one that needs room. The first
// running choice can thus always go on, and alone everything admitted fits: no deadlock (E6).
//
// With two steps in flight a choice may be in step N + 1 when commit(N) ends it: what comes back
// for it is dropped, and its blocks stay held until N + 1 has completed (K2).
//
// Credit. A choice that has all the tokens its receiver takes for now is parked as soon as the last
// of them has come back: it gives up its slot and keeps its blocks, which are the first to be taken
// for others. With credit it waits again, in its old place.
//
// Prefixes. A choice that starts without blocks takes the longest prefix of its history that the
// cache has. If a running choice of no lower priority is computing more of it, the choice is set
// aside (pending) until that is done or its source stops running, and those behind it go on. Blocks
// enter the cache when the step that computed their last row has come back without a fault: a step
// that reads them is launched after that, and no reader can have read what turns out to be void.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker/engine/chunk_pace.h"
#include "worker/engine/engine.h"
#include "worker/engine/row_shares.h"
#include "worker/engine/sequence_queue.h"
#include "worker/engine/step_builder.h"

namespace bessemer {

class Scheduler {
 public:
  // `limits`: KV groups must retain all; no drafts.
  Scheduler(const EngineOptions& options, const Limits& limits);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Admitted or Rejected is the first event.
  void add(Request request, TimePoint now);
  // Unknown or ended attempts and choices are ignored. No choices: all.
  void cancel(AttemptId attempt, std::span<const int32_t> choices, TimePoint now);
  // The receiver takes tokens up to this offset of each choice. Never less than was said before.
  void credit(AttemptId attempt, int32_t send_until);
  // From now on add() rejects.
  void drain() { draining_ = true; }
  // Ends every request with Failed.
  void fail_all(Fault fault, const std::string& detail);

  // The next step, or nullopt: the limit of steps in flight is reached, or nothing can run before
  // one of them comes back, or there is nothing to do. Never nullopt with requests left that have
  // credit and nothing in flight (E6).
  std::optional<StepPlan> plan(TimePoint now);
  // Results in the order of their plans.
  void commit(const StepResult& result, TimePoint now);

  // What has happened since the last call, oldest first.
  std::vector<EngineEvent> take_events();

  bool has_requests() const { return !requests_.empty(); }
  // No request's deadline is earlier.
  TimePoint next_deadline() const { return next_deadline_; }
  size_t steps_in_flight() const { return in_flight_.size(); }
  EngineStats stats() const;
  const KvSpace& kv() const { return kv_; }

 private:
  // The step that is being planned.
  struct Pass {
    StepBuilder step;
    // Running choices with prompt rows to compute, in order, and what each could take.
    std::vector<Sequence*> prompts;
    std::vector<RowDemand> demands;
    size_t place_of(const Sequence& sequence) const;  // among the prompts
    std::vector<ActiveRequest*> prompts_done =
        {};  // their followers fork once the plan is complete
  };

  // scheduler.cpp and scheduler_add.cpp: requests and choices
  std::optional<Rejected> refusal_of(const Request& request) const;
  std::unique_ptr<ActiveRequest> make_active(Request request, TimePoint now);
  static void take_up(Sequence& sequence, Resumed& before);
  void begin(ActiveRequest& request, TimePoint now);
  static Sequence* heir_of(ActiveRequest& request);
  void emit(const ActiveRequest& request, decltype(EngineEvent::what) what);
  void fail(ActiveRequest& request, Fault fault, const std::string& detail);
  void end_choice(Sequence& sequence, EndReason reason, int32_t stop_id, TimePoint now);
  void finish_request(ActiveRequest& request, TimePoint now);
  void leave_queues(Sequence& sequence);
  void hand_over_prompt(ActiveRequest& request);
  void give_up_slot(Sequence& sequence);
  void end_request(ActiveRequest& request);
  void retire_ended();
  int64_t backlog_tokens() const;
  int32_t rows_on_their_way(const ActiveRequest& request, int32_t found) const;
  int32_t waiting_requests() const;
  int32_t parked_requests() const;

  // scheduler_credit.cpp
  void line_up(Sequence& sequence);
  void park(Sequence& sequence);
  void unpark(Sequence& sequence);
  static Sequence* last_holder(const SequenceQueue& queue);
  bool take_from_parked();

  // scheduler_plan.cpp
  void expire(TimePoint now);
  void make_room_for_urgent();
  void plan_draws(Pass& pass);
  int32_t prompt_rows(const Pass& pass) const;
  RowDemand demand_of(const Sequence& sequence, const Pass& pass, int32_t found) const;
  void find_prompts(Pass& pass, int32_t rows, TimePoint now);
  void add_prompt(Sequence& sequence, Pass& pass);
  void plan_prompts(Pass& pass, int32_t rows);
  bool secure_rows(Sequence& sequence, int32_t rows, Pass& pass);
  bool can_start(const Sequence& sequence, const PrefixMatch& found);
  void start(Sequence& sequence, const PrefixMatch& found, Pass& pass, TimePoint now);
  void add_work(Sequence& sequence, const Chunk& chunk, Pass& pass);
  void preempt(Sequence& sequence);
  void fork_followers(ActiveRequest& request);
  StepPlan launch(Pass& pass, TimePoint now);
  void fail_head();

  // scheduler_prefix.cpp
  bool reads_cache(const ActiveRequest& request) const;
  bool fills_cache(const ActiveRequest& request) const;
  PrefixMatch find_prefix(const Sequence& sequence) const;
  int32_t rows_of(const PrefixMatch& found) const;
  void take_prefix(Sequence& sequence, const PrefixMatch& found);
  int32_t blocks_to_come(const Sequence& source, const Sequence& sequence, int32_t found) const;
  bool set_aside(Sequence& sequence, const PrefixMatch& found);
  void wake(Sequence& sequence);
  void wake_followers_of(const Sequence& source);
  void wake_served();
  void enter_blocks(const LaunchedWork& work);
  void enter_block(Sequence& sequence);

  // scheduler_commit.cpp
  void settle(const LaunchedWork& work, const StepResult& result, const Outcome& outcome,
              TimePoint now);
  void deliver_scores(const LaunchedWork& work, const StepResult& result, const Outcome& outcome);
  void report_progress(const LaunchedWork& work, StepId step);
  void accept_token(Sequence& sequence, int32_t token, std::span<const Logprob> logprobs,
                    TimePoint now);
  void lose_group();
  void measure(const LaunchedStep& step, TimePoint now);

  const EngineOptions options_;
  const Limits limits_;
  const int32_t rows_, logit_rows_;  // of one step
  ChunkPace pace_;
  double widest_rows_ = 0;          // of a step's prompts, of late
  KvSpace kv_;                      // outlives every table
  std::vector<int32_t> block_ids_;  // of the block that is being entered
  std::vector<Replaced> replaced_;  // by it

  std::map<AttemptId, std::unique_ptr<ActiveRequest>> requests_;
  // Blocks of the prompts of requests_, by the low half of their hashes: they are in the cache, or
  // will be by the time that whoever comes now has its turn.
  std::unordered_map<uint64_t, int32_t> on_their_way_;
  std::vector<std::unique_ptr<ActiveRequest>> ended_;  // some Work of theirs may still be in flight
  SequenceQueue running_, waiting_, pending_, parked_;
  std::vector<int32_t> free_slots_,
      closing_slots_;                    // closing: free too, but the runner is yet to be told
  std::vector<LaunchedStep> in_flight_;  // oldest first; at most limits_.steps_in_flight
  std::vector<EngineEvent> events_;
  EngineStats stats_;
  TimePoint next_deadline_ = TimePoint::max(), last_commit_{};
  uint64_t arrivals_ = 0;
  StepId last_step_ = 0;
  int32_t running_requests_ = 0;  // with a slot at least
  bool draining_ = false;
};

}  // namespace bessemer
