// Scheduler::plan: who computes what in the next step.
#include <algorithm>

#include "common/check.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

// How many waiting choices without a share of the step's rows are passed over to find one that has.
constexpr int32_t kMostOvertaken = 16;

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
    Pass pass{StepBuilder(rows_, logit_rows_), {}, {}};
    make_room_for_urgent();
    plan_draws(pass);
    const int32_t rows = prompt_rows(pass);
    find_prompts(pass, rows, now);
    plan_prompts(pass, rows);
    if (!pass.step.empty()) return launch(pass, now);
    if (!in_flight_.empty() || (running_.empty() && waiting_.empty() && pending_.empty()))
      return std::nullopt;
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
    if (!has_room && take_from_parked()) continue;
    preempt(running_.last());
  }
}

// Running choices that draw: a row each, whatever else is in the step.

void Scheduler::plan_draws(Pass& pass) {
  for (size_t i = 0; i < running_.size(); ++i) {  // whoever is displaced lies behind i
    Sequence& s = running_[i];
    if (!can_run(s) || !only_draws(s)) continue;
    const Chunk chunk = next_chunk(s, pass.step.rows_left(), pass.step.logit_rows_left());
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
    if (take_from_parked()) continue;
    Sequence* victim = last_holder(waiting_);
    if (victim == nullptr) victim = &running_.last();
    if (victim == &s) return false;
    preempt(*victim);
  }
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

// Prompts.

int32_t Scheduler::prompt_rows(const Pass& pass) const {
  return std::min(pass.step.rows_left(), pace_.rows(pass.step.choices()));
}

RowDemand Scheduler::demand_of(const Sequence& s, const Pass& pass, int32_t found) const {
  return {s.request->request.priority,
          next_chunk(s, pass.step.rows_left(), pass.step.logit_rows_left(), found).count};
}

// Running prompts, and those that start now. Who waits for a slot or for blocks holds up all that
// are behind it: nobody small overtakes somebody large, so nobody starves. Who would merely have
// none of this step's rows stays in the queue, and a few behind it are asked; nor does anybody wait
// behind those who wait for a prefix that is being computed.
void Scheduler::find_prompts(Pass& pass, int32_t rows, TimePoint now) {
  for (Sequence* s : running_) {
    if (can_run(*s) && !only_draws(*s)) add_prompt(*s, pass);
  }
  int32_t overtaken = 0;
  for (size_t i = 0; i < waiting_.size() && overtaken < kMostOvertaken;) {
    Sequence& s = waiting_[i];
    if (s.in_flight > 0) {  // its history is not all known (S2)
      ++i;
      continue;
    }
    if (free_slots_.empty() || rows < 1) return;
    const PrefixMatch found = find_prefix(s);
    if (set_aside(s, found)) continue;
    const RowDemand demand = demand_of(s, pass, rows_of(found));
    if (demand.rows < 1) return;
    if (!has_share(std::span(pass.demands).first(pass.place_of(s)), demand, rows)) {
      ++overtaken;
      ++i;
      continue;
    }
    const bool is_fork = !s.kv.empty();
    if (!can_start(s, found)) {
      if (is_fork && s.kv.empty()) continue;  // without what it shared there may be room
      return;
    }
    start(s, found, pass, now);
    add_prompt(s, pass);
  }
}

void Scheduler::add_prompt(Sequence& s, Pass& pass) {
  const RowDemand demand = demand_of(s, pass, 0);
  if (demand.rows < 1) return;
  const auto at = static_cast<ptrdiff_t>(pass.place_of(s));
  pass.demands.insert(pass.demands.begin() + at, demand);
  pass.prompts.insert(pass.prompts.begin() + at, &s);
}

size_t Scheduler::Pass::place_of(const Sequence& s) const {
  const auto at =
      std::ranges::find_if(prompts, [&](const Sequence* each) { return goes_before(s, *each); });
  return static_cast<size_t>(at - prompts.begin());
}

// Their blocks were all secured when they started (S3).
void Scheduler::plan_prompts(Pass& pass, int32_t rows) {
  const std::vector<int32_t> shares = share_rows(pass.demands, rows);
  for (size_t i = 0; i < shares.size(); ++i) {
    Sequence& s = *pass.prompts[i];
    const Chunk chunk = next_chunk(s, shares[i], pass.step.logit_rows_left());
    if (chunk.count > 0) add_work(s, chunk, pass);
  }
}

// A slot, and blocks for all of its history. While others run, one block is left for each of them,
// so that what is started now is not displaced at once. Where nothing runs the waiting forks give up
// what they share, last of all this one itself: a block of which it must have a copy may be one too
// many.
bool Scheduler::can_start(const Sequence& s, const PrefixMatch& found) {
  const int32_t headroom = static_cast<int32_t>(running_.size());
  for (;;) {
    const Room room = kv_.room_for(s.kv, s.length(), headroom, found);
    if (room == Room::now) return true;
    if (room == Room::later) return false;
    if (take_from_parked()) continue;
    if (!running_.empty()) return false;
    Sequence* holder = last_holder(waiting_);
    if (holder == nullptr) return false;
    preempt(*holder);
    if (holder == &s) return false;
  }
}

void Scheduler::start(Sequence& s, const PrefixMatch& found, Pass& pass, TimePoint now) {
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
    line_up(s);
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
  CHECK(head != nullptr);  // somebody is in one of the three
  fail(*head, Fault::no_room,
       "nothing is running and there is no room for it: " + std::to_string(kv_.free_count()) +
           " of " + std::to_string(kv_.total()) + " KV blocks and " +
           std::to_string(free_slots_.size()) + " slots are free");
  retire_ended();
}

}  // namespace bessemer
