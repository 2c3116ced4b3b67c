// Scheduler::plan: who computes what in the next step.
#include <algorithm>

#include "common/check.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

bool can_run(const Sequence& s) {
  return s.may_draw();
}
bool only_draws(const Sequence& s) {
  return s.rows_left() == 1;
}

}  // namespace

std::optional<StepPlan> Scheduler::plan(TimePoint now) {
  expire(now);
  if (in_flight_.size() >= static_cast<size_t>(limits_.steps_in_flight)) return std::nullopt;
  wake_served();
  for (;;) {
    Pass pass{StepBuilder(rows_, logit_rows_), 0, {}};
    make_room_for_urgent();
    plan_running(pass);
    plan_waiting(pass, now);
    if (!pass.step.empty()) return launch(pass, now);
    if (!in_flight_.empty() || requests_.empty()) return std::nullopt;
    fail_head();
  }
}

void Scheduler::expire(TimePoint now) {
  if (now < next_deadline_) return;
  next_deadline_ = TimePoint::max();
  for (auto next = requests_.begin(); next != requests_.end();) {
    ActiveRequest& request = *(next++)->second;
    if (request.request.deadline <= now) {
      fail(request, Fault::deadline,
           "the deadline passed after " +
               std::to_string(microseconds(now - request.arrived) / 1000) + " ms" +
               (request.is_started() ? "" : ", all of them in the queue"));
    } else {
      next_deadline_ = std::min(next_deadline_, request.request.deadline);
    }
  }
  retire_ended();
}

// A waiting choice displaces running ones of lower priority; equals only ever wait.
void Scheduler::make_room_for_urgent() {
  const auto priority = [](const Sequence& s) { return s.request->request.priority; };
  for (;;) {
    const auto head =
        std::ranges::find(waiting_, 0, [](const Sequence* s) { return s->in_flight; });
    if (head == waiting_.end() || running_.empty()) return;
    Sequence& s = **head;
    if (priority(running_.last()) >= priority(s)) return;
    const PrefixMatch found = find_prefix(s);
    if (set_aside(s, found)) continue;
    const int32_t headroom = static_cast<int32_t>(running_.size());
    const bool has_room = kv_.room_for(s.kv, s.length(), headroom, found) != Room::none;
    if (has_room && !free_slots_.empty()) return;
    preempt(running_.last());
  }
}

// Running choices.

void Scheduler::plan_running(Pass& pass) {
  pass.draws_ahead = static_cast<int32_t>(std::ranges::count_if(
      running_, [](const Sequence* s) { return can_run(*s) && only_draws(*s); }));
  for (size_t i = 0; i < running_.size(); ++i) {  // whoever is displaced lies behind i
    Sequence& s = running_[i];
    if (!can_run(s)) continue;
    if (only_draws(s)) --pass.draws_ahead;
    const Chunk chunk = next_chunk(s, pass.step.rows_left() - pass.draws_ahead,
                                   pass.step.logit_rows_left() - pass.draws_ahead);
    if (chunk.count < 1 || !secure_rows(s, s.computed + chunk.count, pass)) continue;
    add_work(s, chunk, pass);
  }
}

// Blocks for the first `rows` rows of a running choice. False: it sits this step out and keeps what
// it has.
bool Scheduler::secure_rows(Sequence& s, int32_t rows, Pass& pass) {
  for (;;) {
    const Room room = kv_.room_for(s.kv, rows);
    if (room == Room::later) return false;
    if (room == Room::now) {
      kv_.grow(s.kv, rows, pass.step.copies());
      return true;
    }
    Sequence* victim = last_waiting_holder();
    if (victim == nullptr) victim = &running_.last();
    if (victim == &s) return false;
    if (victim->phase == Phase::running && can_run(*victim) && only_draws(*victim)) {
      --pass.draws_ahead;
    }
    preempt(*victim);
  }
}

Sequence* Scheduler::last_waiting_holder() const {
  for (size_t i = waiting_.size(); i-- > 0;) {
    if (!waiting_[i].kv.empty()) return &waiting_[i];
  }
  return nullptr;
}

// Takes the blocks, and the slot, away; the choice waits to be computed again from its first row.
void Scheduler::preempt(Sequence& s) {
  ++stats_.preemptions;
  ++s.request->preemptions;
  if (s.phase == Phase::running) {
    running_.erase(s);
    give_up_slot(s);
    s.phase = Phase::waiting;
    waiting_.insert(s);
  }
  s.kv.clear();
  s.high_water = std::max(s.high_water, s.computed);
  s.computed = 0;
}

void Scheduler::add_work(Sequence& s, const Chunk& chunk, Pass& pass) {
  ActiveRequest& request = *s.request;
  const int32_t end = s.computed + chunk.count;
  request.recomputed += std::clamp(s.high_water - s.computed, 0, chunk.count);
  if (chunk.want == Want::score || chunk.want == Want::score_and_sample) {
    request.score_next = std::min(end, request.prompt_len() - 1);
  }
  pass.step.grow(s);
  pass.step.work(s, chunk);
  if (!request.prompt_done && s.choice == request.leader && end >= request.prompt_len()) {
    request.prompt_done = true;
    pass.prompts_done.push_back(&request);
  }
}

// Waiting choices.

// Strictly in order: nobody small overtakes somebody large, so nobody starves. Who waits for a
// prefix that is being computed is passed over: it would only compute it too.
void Scheduler::plan_waiting(Pass& pass, TimePoint now) {
  for (size_t i = 0; i < waiting_.size();) {
    Sequence& s = waiting_[i];
    if (s.in_flight > 0) {  // its history is not all known (S2)
      ++i;
      continue;
    }
    if (free_slots_.empty() || pass.step.rows_left() < 1) return;
    const PrefixMatch found = find_prefix(s);
    if (set_aside(s, found)) continue;
    const Chunk chunk =
        next_chunk(s, pass.step.rows_left(), pass.step.logit_rows_left(), rows_of(found));
    if (chunk.count < 1 || !can_start(s, found)) return;
    start(s, found, chunk, pass, now);
  }
}

// A slot, and blocks for all of its history. While others run, one block is left for each of them,
// so that what is started now is not displaced at once.
bool Scheduler::can_start(const Sequence& s, const PrefixMatch& found) {
  const int32_t headroom = static_cast<int32_t>(running_.size());
  for (;;) {
    const Room room = kv_.room_for(s.kv, s.length(), headroom, found);
    if (room == Room::now) return true;
    if (room == Room::later || !running_.empty()) return false;
    Sequence* holder = last_waiting_holder();
    if (holder == nullptr || holder == &s) return false;
    preempt(*holder);
  }
}

void Scheduler::start(Sequence& s, const PrefixMatch& found, const Chunk& chunk, Pass& pass,
                      TimePoint now) {
  ActiveRequest& request = *s.request;
  take_prefix(s, found);
  request.started = std::min(request.started, now);
  if (request.slots++ == 0) ++running_requests_;
  waiting_.erase(s);
  s.phase = Phase::running;
  s.slot = free_slots_.back();
  free_slots_.pop_back();
  running_.insert(s);
  std::ranges::fill(s.told, 0);
  kv_.grow(s.kv, s.length(), pass.step.copies());
  pass.step.open(s);
  add_work(s, chunk, pass);
}

// Launching.

// All but the last row of the prompt is shared; that one every choice computes for itself, and
// draws its first token from it.
void Scheduler::fork_followers(ActiveRequest& request) {
  const Sequence& leader = request.choices[static_cast<size_t>(request.leader)];
  const int32_t shared = request.prompt_len() - 1;
  for (Sequence& s : request.choices) {
    if (s.phase != Phase::following) continue;
    s.kv = kv_.fork(leader.kv, shared);
    s.computed = shared;
    s.phase = Phase::waiting;
    waiting_.insert(s);
  }
}

StepPlan Scheduler::launch(Pass& pass, TimePoint now) {
  StepPlan plan = pass.step.finish(++last_step_, now, std::move(closing_slots_));
  closing_slots_.clear();
  in_flight_.push_back(std::move(pass.step.launched()));
  kv_.launched(last_step_);
  for (ActiveRequest* request : pass.prompts_done) fork_followers(*request);
  return plan;
}

// E6. Admission refuses what cannot fit, so this says that an invariant is broken; the request's
// failure is better than an engine that waits for ever.
void Scheduler::fail_head() {
  ActiveRequest* head = nullptr;
  if (!running_.empty())
    head = running_[0].request;
  else if (!waiting_.empty())
    head = waiting_[0].request;
  else if (!pending_.empty())
    head = pending_[0].request;
  CHECK(head != nullptr);
  fail(*head, Fault::no_room,
       "nothing is running and there is no room for it: " + std::to_string(kv_.free_count()) +
           " of " + std::to_string(kv_.total()) + " KV blocks and " +
           std::to_string(free_slots_.size()) + " slots are free");
  retire_ended();
}

}  // namespace bessemer
