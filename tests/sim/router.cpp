#include "tests/sim/router.h"

#include <algorithm>
#include <variant>

#include "common/check.h"
#include "router/routing/cost.h"

namespace bessemer::sim {
namespace {

// The fleet's.
constexpr auto kDemandInterval = std::chrono::milliseconds(200);

}  // namespace

// One worker as this router knows it, and the wire between them.
class SimRouter::Link final : public WorkerEvents {
 public:
  Link(SimRouter& router, uint32_t worker, SimWorker& peer)
      : router_(router),
        worker_(worker),
        peer_(peer),
        number_(peer.add_router(*this, router.options_.admission)),
        mirror_(router.index_, worker) {
    mirror_.expect(peer.incarnation());
    slot.has_room.store(!router.options_.admission);  // until it grants some
  }

  void send(Offer offer) {
    brought_.tokens += offer.prompt.size();
    ++brought_.attempts;
    look_for_room();
    later([this, sent = std::move(offer)]() mutable { peer_.start(number_, std::move(sent)); });
  }

  void admitted(uint64_t request, const Admitted& admitted) override {
    later([this, request, admitted] { router_.admitted(request, worker_, admitted); });
  }
  void rejected(uint64_t request, v1::RejectReason reason, const std::string& detail) override {
    later([this, request, reason, detail] { router_.rejected(request, worker_, reason, detail); });
  }
  void token(uint64_t request, int32_t offset, int32_t id) override {
    later([this, request, offset, id] { router_.token(request, offset, id); });
  }
  void done(uint64_t request, const Usage& usage) override {
    later([this, request, usage] { router_.done(request, worker_, usage); });
  }
  void load(const v1::LoadReport& report) override {
    later([this, report] { heard(report); });
  }
  void cache(const v1::KvUpdate& update) override {
    later([this, update] {
      // The stream never breaks here, so there is nothing to begin anew.
      CHECK(mirror_.apply(update) == KvMirror::Verdict::applied);
      router_.tidy();
      router_.oracle_.apply(worker_, update);
    });
  }

  void grant(const GrantShare& until) override {
    later([this, until] {
      granted_ = until;
      look_for_room();
    });
  }
  void demand(const v1::Demand& demand) {
    later([this, demand] { peer_.demand(number_, demand); });
  }

  LoadSlot slot;

 private:
  void later(Timeline::Action action) {
    router_.timeline_.after(router_.options_.latency, std::move(action));
  }
  void heard(const v1::LoadReport& report) {
    LoadReading reading;
    const v1::Load& load = report.pools(0);
    read_load(load, reading);
    slope_.observe(load.decode_rows(), load.decode_us() * 1e-6);
    reading.step_slope_s = static_cast<float>(slope_.seconds());
    reading.own_then = slot.own.load();
    slot.reading.store(reading);
    slot.said_backlog.store(static_cast<int64_t>(load.backlog_tokens()));
  }

  // As LaneProtocol::may_bring, and what its lane and its session make of it.
  void look_for_room() {
    const bool may_bring = !router_.options_.admission || (brought_.tokens < granted_.tokens &&
                                                           brought_.attempts < granted_.attempts);
    if (slot.has_room.exchange(may_bring) == may_bring || !may_bring) return;
    router_.gate_.wake(router_.timeline_.now());
  }

  SimRouter& router_;
  const uint32_t worker_;
  SimWorker& peer_;
  const size_t number_;
  KvMirror mirror_;
  StepSlope slope_;
  GrantShare granted_, brought_;  // since the beginning
};

SimRouter::SimRouter(const RouterOptions& options, Contender contender, Timeline& timeline)
    : options_(options),
      contender_(std::move(contender)),
      timeline_(timeline),
      random_(options.seed),
      tenant_(std::make_shared<const Tenant>()),
      gate_({static_cast<size_t>(options.max_waiting), options.longest_wait}),
      index_(1, options.seed),
      pledged_(1, options.seed),
      pledges_(pledged_) {}

SimRouter::~SimRouter() = default;

void SimRouter::connect(SimWorker& worker) {
  const auto id = static_cast<uint32_t>(links_.size());
  links_.push_back(std::make_unique<Link>(*this, id, worker));
}

const LoadSlot& SimRouter::load(uint32_t worker) const {
  return links_[worker]->slot;
}

void SimRouter::ask(Question question, Ended ended) {
  const uint64_t request = question.request;
  Live& live = live_[request];
  live.input.prompt_tokens = static_cast<int64_t>(question.prompt.size());
  live.input.session = question.session;
  live.record.request = request;
  live.record.asked_s = timeline_.seconds();
  live.record.prompt = static_cast<int32_t>(question.prompt.size());
  live.record.answer = question.answer.count;
  live.ended = std::move(ended);
  live.question = std::move(question);
  live.input.prefix = live.question.blocks->empty() ? 0 : live.question.blocks->front();
  live.input.last_worker = sessions_.worker_of(live.input.session);
  live.placement = std::make_unique<Placement>(live.input, options_.limits);
  place(request);
}

std::vector<Candidate> SimRouter::candidates(const Live& live) {
  std::vector<Candidate> all;
  for (uint32_t worker = 0; worker < links_.size(); ++worker) {
    const Link& link = *links_[worker];
    Candidate one;
    one.worker = worker;
    one.reading = link.slot.reading.load();
    one.sequences = link.slot.sequences(one.reading);
    one.backlog_tokens = link.slot.backlog();
    one.block_tokens = kBlockTokens;
    one.has_room = link.slot.has_room.load();
    all.push_back(one);
  }
  match(live, all);
  return all;
}

void SimRouter::match(const Live& live, std::vector<Candidate>& all) {
  const std::vector<uint64_t>& chain = *live.question.blocks;
  tidy();
  look_.ask(index_, pledged_, 0, chain);
  std::vector<KvMatch> matches;
  index_.match(0, chain, matches);
  std::vector<size_t> known(all.size());
  for (const KvMatch& match : matches) known[match.worker] = static_cast<size_t>(match.blocks);
  for (Candidate& one : all) {
    one.matched_tokens = int64_t{look_.blocks(one.worker)} * kBlockTokens;
    wrong_matches_ += known[one.worker] == oracle_.matched(one.worker, chain) ? 0 : 1;
  }
}

void SimRouter::tick() {
  tidy();
  if (options_.admission) tend_tenants();
}

// As the fleet's: who waits is asked now and then, and the workers hear what waits.
void SimRouter::tend_tenants() {
  const TimePoint now = timeline_.now();
  if (now < next_demand_) return;
  next_demand_ = now + kDemandInterval;
  gate_.wake(now);
  for (const auto& link : links_) link->demand(gate_.demand());
}

void SimRouter::tidy() {
  pledges_.expire(timeline_.now());
  while (index_.tidy() || pledged_.tidy()) {
  }
}

PlacementStep SimRouter::decide(Live& live, std::vector<Candidate>& open) {
  open = candidates(live);
  if (contender_.follower) contender_.follower->asks(*live.question.blocks, timeline_.now());
  return live.placement->next(open, true, timeline_.now(), *contender_.policy, random_);
}

// As Generation::place.
void SimRouter::place(uint64_t request) {
  Live& live = live_.at(request);
  if (!may_pass(live)) return;
  while (true) {
    std::vector<Candidate> open;
    const PlacementStep step = decide(live, open);
    if (const auto* on = std::get_if<PlaceOn>(&step)) {
      start_on(live, *on, open);
      return note_placed(live);
    }
    const auto* later = std::get_if<PlaceLater>(&step);
    if (later == nullptr) return end(request, Outcome::refused);
    if (!options_.admission) return wait(request, later->delay);
    if (!stand_in_line(live, true)) return;
  }
}

// Where there is no gate.
void SimRouter::wait(uint64_t request, Duration delay) {
  if (waiting_ >= options_.max_waiting) return end(request, Outcome::refused);
  ++waiting_;
  timeline_.after(delay, [this, request] {
    --waiting_;
    place(request);
  });
}

void SimRouter::start_on(Live& live, const PlaceOn& on, const std::vector<Candidate>& open) {
  const Candidate& where = open[on.worker];
  live.record.bounces = on.bounces;
  live.record.predicted = static_cast<int32_t>(where.matched_tokens);
  if (contender_.follower) contender_.follower->placed(live.record.request, where, live.input);
  if (options_.pledges) pledge(live, on.worker);
  Link& link = *links_[on.worker];
  link.slot.own.fetch_add(1);
  live.unadmitted = live.input.prompt_tokens - where.matched_tokens;
  link.slot.unadmitted.fetch_add(live.unadmitted);
  Offer offer;
  offer.request = live.record.request;
  offer.prompt = live.question.prompt;
  offer.answer = live.question.answer;
  if (options_.admission && !on.must_queue) offer.max_ttft_us = on.max_est_ttft_us;
  link.send(std::move(offer));
}

void SimRouter::admitted(uint64_t request, uint32_t worker, const Admitted& admitted) {
  Live& live = live_.at(request);
  LoadSlot& slot = links_[worker]->slot;
  slot.unadmitted.fetch_sub(std::exchange(live.unadmitted, 0));
  sessions_.note(live.input.session, worker);
  // What is in front of the next one, as PromptRoute reckons it.
  const int32_t found = std::max(admitted.matched_tokens, live.record.predicted);
  slot.said_backlog.store(admitted.backlog_tokens + live.input.prompt_tokens - found);
  live.question.prompt.clear();  // it will not be sent again
}

void SimRouter::rejected(uint64_t request, uint32_t worker, v1::RejectReason reason,
                         const std::string& detail) {
  Live& live = live_.at(request);
  LoadSlot& slot = links_[worker]->slot;
  slot.own.fetch_sub(1);
  slot.unadmitted.fetch_sub(std::exchange(live.unadmitted, 0));
  release(live, false);
  if (contender_.follower) contender_.follower->ended(request);
  live.placement->rejected(reason, detail, 0);
  place(request);
}

void SimRouter::token(uint64_t request, int32_t offset, int32_t id) {
  Live& live = live_.at(request);
  Record& record = live.record;
  const Segment& answer = live.question.answer;
  const bool is_next = offset == record.received;
  if (!is_next || id != token_at(answer.name, answer.begin + offset)) ++record.out_of_order;
  if (record.received++ > 0) return;
  record.first_s = timeline_.seconds();
  release(live, true);
  if (contender_.follower) contender_.follower->first_token(request);
}

void SimRouter::pledge(Live& live, uint32_t worker) {
  live.pledge = std::make_shared<KvPledge>();
  live.pledge->worker = worker;
  live.pledge->chain = live.question.blocks;
  pledges_.pledge(*live.pledge);
}

void SimRouter::release(Live& live, bool computed) {
  if (live.pledge) pledges_.release(std::move(live.pledge), computed, timeline_.now());
}

void SimRouter::done(uint64_t request, uint32_t worker, const Usage& usage) {
  links_[worker]->slot.own.fetch_sub(1);
  if (contender_.follower) contender_.follower->ended(request);
  live_.at(request).record.cached = usage.cached;
  end(request, Outcome::answered);
  if (options_.admission) gate_.wake(timeline_.now());
}

void SimRouter::end(uint64_t request, Outcome outcome) {
  const auto at = live_.find(request);
  Live live = std::move(at->second);
  live_.erase(at);
  live.record.outcome = outcome;
  live.record.end_s = timeline_.seconds();
  live.ended(live.record);
}

}  // namespace bessemer::sim
