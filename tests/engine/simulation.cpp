#include "tests/engine/simulation.h"

#include <algorithm>

#include "tests/engine/checkers/e10_prefixes.h"
#include "tests/engine/checkers/e11_credit.h"
#include "tests/engine/checkers/e2_blocks.h"
#include "tests/engine/checkers/e3_endings.h"
#include "tests/engine/checkers/e4_holds.h"
#include "tests/engine/checkers/e5_tokens.h"
#include "tests/engine/checkers/e6_progress.h"
#include "tests/engine/checkers/e8_identity.h"
#include "tests/engine/checkers/e9_bounds.h"

namespace bessemer {
namespace {

// Streams of tokens that prompts are taken from.
constexpr size_t kStreams = 4;

int32_t between(Random& random, int64_t low, int64_t high) {
  return static_cast<int32_t>(random.between(low, high));
}

// Two values: nearly every lookup meets blocks that are others'.
BlockHash one_of_two(BlockHash parent, std::span<const int32_t> ids) {
  return {chain(parent, ids).low & 1, 0};
}

}  // namespace

SimulationConfig random_config(Random& random) {
  SimulationConfig config;
  Limits& limits = config.limits;
  limits.slots = between(random, 1, 8);
  limits.rows = between(random, 1, 48);
  limits.logit_rows = between(random, 1, 16);
  limits.max_len = between(random, 8, 80);
  limits.vocab_size = between(random, 10, 200);
  limits.steps_in_flight = between(random, 1, 3);
  const int32_t groups = between(random, 1, 2), tokens = between(random, 1, 9);
  const bool one_size = random.chance(0.9);  // else there is no prefix cache
  for (int32_t g = 0; g < groups; ++g) {
    KvGroup group;
    group.block_tokens = one_size ? tokens : between(random, 1, 9);
    group.block_count = between(random, 4, 40);
    limits.groups.push_back(group);
  }
  config.options.step_tokens = between(random, 1, 64);
  if (random.chance(0.5)) {
    config.options.stream_step = std::chrono::microseconds(random.between(100, 5000));
  }
  config.options.max_waiting = between(random, 1, 12);
  config.options.max_parked = between(random, 1, 12);
  config.slow = random.chance(0.4) ? 0.5 : 0;
  config.options.prefix_cache = random.chance(0.85);
  config.options.hash_domain = random.next();
  if (random.chance(0.2)) config.options.block_hash = one_of_two;
  config.arrival = 0.05 + 0.5 * random.uniform();
  config.cancel = random.chance(0.5) ? 0.05 : 0;
  if (random.chance(0.3)) config.bad_outcome = 0.01;
  if (random.chance(0.3)) config.bad_step = 0.01;
  if (random.chance(0.2)) config.lost_group = 0.005;
  return config;
}

Simulation::Simulation(uint64_t seed)
    : Simulation(seed, [&] {
        Random random(seed);
        return random_config(random);
      }()) {}

Simulation::Simulation(uint64_t seed, SimulationConfig config)
    : random_(seed ^ 0x5eed),
      config_(std::move(config)),
      scheduler_(config_.options, config_.limits),
      device_(config_.limits, [this](const std::string& what) {
        if (!complaint_) complaint_ = what;
      }) {
  const auto complain = [this](const std::string& what) {
    if (!complaint_) complaint_ = "step " + std::to_string(steps_) + ": " + what;
  };
  checkers_.push_back(std::make_unique<BlocksAddUp>(complain));
  checkers_.push_back(std::make_unique<EndsOnce>(complain));
  checkers_.push_back(std::make_unique<BlocksAreHeld>(complain));
  checkers_.push_back(
      std::make_unique<SameTokens>(complain, config_.limits.vocab_size, config_.limits.max_len));
  checkers_.push_back(std::make_unique<AlwaysGoesOn>(complain));
  checkers_.push_back(std::make_unique<KeepsToCredit>(complain));
  checkers_.push_back(
      std::make_unique<StaysWithinBounds>(complain, config_.limits, config_.options));
  checkers_.push_back(std::make_unique<SharesWithinItsRoot>(complain, config_.limits));
  // A mirror knows blocks by their hashes.
  if (config_.options.block_hash == chain) {
    checkers_.push_back(std::make_unique<CachesBeginnings>(complain, config_.options.hash_domain));
  }
}

void Simulation::run(int32_t steps) {
  const uint64_t end = steps_ + static_cast<uint64_t>(steps);
  while (steps_ < end && !complaint_) turn(true);
  // Whatever is left needs at most all its rows, some of them again after each preemption; far more
  // is a livelock.
  uint64_t patience = 200'000;
  while ((scheduler_.has_requests() || !launched_.empty()) && !complaint_) {
    turn(false);
    if (--patience == 0) complaint_ = "E6: still not done after 200,000 turns";
  }
  if (complaint_) return;
  for (const auto& checker : checkers_) checker->on_idle(scheduler_);
  final_stats_ = scheduler_.stats();
}

void Simulation::turn(bool users) {
  if (users && random_.chance(config_.arrival)) submit_someone();
  if (users && random_.chance(config_.cancel)) cancel_someone();
  if (!users || random_.chance(0.3)) credit_someone();
  plan_all();
  if (!launched_.empty() && random_.chance(0.8)) finish_step();
  now_ += std::chrono::microseconds(random_.between(100, 2000));
  drain_events();
}

Request Simulation::random_request() {
  Request request;
  request.id = AttemptId{++attempts_};
  const Limits& limits = config_.limits;
  const int64_t vocab = limits.vocab_size;
  request.prompt = random_prompt();
  request.n = random_.chance(0.3) ? between(random_, 1, config_.most_choices) : 1;
  request.max_tokens = between(random_, 1, config_.longest_answer);
  request.sampling.seed =
      kRoots * random_.below(2) + (random_.chance(0.3) ? random_.below(kRoots) : 0);
  request.cache_root = root_of_seed(request.sampling.seed);
  request.cache_store = !random_.chance(config_.never_stored);
  const std::vector<int32_t> stops = {between(random_, 0, vocab - 1),
                                      between(random_, 0, vocab - 1)};
  if (random_.chance(0.7)) request.sampling.stop_ids = append(request.tokens, stops);
  if (random_.chance(0.2)) request.sampling.min_tokens = between(random_, 0, 10);
  if (random_.chance(0.2)) request.top_logprobs = between(random_, 0, 3);
  if (random_.chance(0.2)) request.prompt_logprobs = between(random_, 0, 3);
  if (random_.chance(0.3)) request.priority = between(random_, -1, 1);
  if (random_.chance(0.1)) {
    request.deadline = now_ + std::chrono::microseconds(random_.between(0, 100'000));
  }
  if (request.prompt_logprobs < 0 && random_.chance(config_.resumed)) interrupt(request);
  if (random_.chance(config_.slow)) request.send_until = between(random_, 1, 8);
  if (random_.chance(0.02)) request.prompt[0] = limits.vocab_size;  // refused
  if (random_.chance(0.02)) request.max_tokens = 0;
  return request;
}

// It has run elsewhere, each choice up to somewhere; some of them to their end, or to a cancel.
void Simulation::interrupt(Request& request) {
  for (int32_t choice = 0; choice < request.n; ++choice) {
    Resumed& before = request.resumed.emplace_back();
    before.ids =
        fake::answer(request, choice, config_.limits.vocab_size, config_.limits.max_len).ids;
    const bool whole = random_.chance(0.3);
    if (!whole) before.ids.resize(random_.below(before.ids.size() + 1));
    before.ended = random_.chance(whole ? 0.5 : 0.1);
  }
}

// The beginning of a stream and something of its own, or that alone.
std::vector<int32_t> Simulation::random_prompt() {
  const int64_t vocab = config_.limits.vocab_size;
  const size_t length = static_cast<size_t>(random_.between(1, config_.longest_prompt));
  std::vector<int32_t> prompt;
  if (streams_.empty()) streams_.resize(kStreams);
  if (random_.chance(config_.shared)) {
    if (random_.chance(0.05)) fashion_ = random_.below(kStreams);
    const size_t chosen = random_.chance(0.8) ? fashion_ : random_.below(kStreams);
    const std::vector<int32_t>& stream = streams_[chosen];
    const size_t most = std::min(length, stream.size());
    const size_t taken = random_.chance(0.8) ? most : random_.below(most + 1);
    prompt.assign(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(taken));
  }
  if (random_.chance(0.3)) prompt.resize(std::max<size_t>(1, prompt.size()), 1);
  while (prompt.size() < length) prompt.push_back(between(random_, 0, vocab - 1));
  return prompt;
}

void Simulation::submit_someone() {
  Request request = random_request();
  // The next turn of this conversation, or what others will begin with.
  const int32_t vocab = config_.limits.vocab_size, max_len = config_.limits.max_len;
  if (random_.chance(0.1) && request.max_tokens > 0 && request.prompt[0] < vocab) {
    std::vector<int32_t>& stream = streams_[random_.below(kStreams)];
    stream = request.prompt;
    append(stream, fake::answer(request, 0, vocab, max_len).ids);
  }
  for (const auto& checker : checkers_) checker->on_submit(request);
  live_.push_back(request.id);
  if (request.send_until > 0) credit_[request.id] = request.send_until;
  scheduler_.add(std::move(request), now_);
}

void Simulation::cancel_someone() {
  if (live_.empty()) return;
  const size_t at = random_.below(live_.size());
  std::vector<int32_t> choices;
  if (random_.chance(0.4)) choices.push_back(between(random_, 0, 3));
  scheduler_.cancel(live_[at], choices, now_);
  if (choices.empty()) live_.erase(live_.begin() + static_cast<ptrdiff_t>(at));
  poison_free_blocks();
}

// Most often more than before; also less, which must change nothing, and for who has no limit.
void Simulation::credit_someone() {
  if (random_.chance(0.1) && !live_.empty()) {
    const AttemptId anyone = live_[random_.below(live_.size())];
    if (!credit_.contains(anyone)) scheduler_.credit(anyone, 1);
  }
  if (credit_.empty()) return;
  const auto chosen =
      std::next(credit_.begin(), static_cast<ptrdiff_t>(random_.below(credit_.size())));
  int32_t& until = chosen->second;
  if (random_.chance(0.1)) return credit(chosen->first, until - 1);
  credit(chosen->first, until += between(random_, 1, 5));
}

void Simulation::credit(AttemptId attempt, int32_t send_until) {
  for (const auto& checker : checkers_) checker->on_credit(attempt, send_until);
  scheduler_.credit(attempt, send_until);
}

void Simulation::plan_all() {
  while (auto plan = scheduler_.plan(now_)) {
    for (const auto& checker : checkers_) checker->on_plan(*plan, scheduler_);
    launched_.push_back(std::move(*plan));
    ++steps_;
  }
  drain_events();
  for (const auto& checker : checkers_) checker->on_no_plan(scheduler_);
}

// The oldest step is executed only now, after whatever was planned, cancelled and freed since.
void Simulation::finish_step() {
  const StepPlan plan = std::move(launched_.front());
  launched_.pop_front();
  StepResult result;
  if (void_steps_ > 0) {
    --void_steps_;
    result.id = plan.id;
    result.fault = Fault::group_lost;
  } else {
    result = device_.execute(plan);
    spoil(result);
  }
  for (const auto& checker : checkers_) checker->on_result(result);
  scheduler_.commit(result, now_);
  for (const auto& checker : checkers_) checker->on_commit(scheduler_);
  poison_free_blocks();
}

void Simulation::spoil(StepResult& result) {
  for (Outcome& outcome : result.outcomes) {
    if (!random_.chance(config_.bad_outcome)) continue;
    device_.spoil(static_cast<size_t>(&outcome - result.outcomes.data()));
    outcome = {{}, {}, {}, Fault::numeric};
  }
  if (random_.chance(config_.bad_step)) {
    for (size_t work = 0; work < result.outcomes.size(); ++work) device_.spoil(work);
    result.fault = Fault::device;
    result.outcomes.clear();
  }
  if (random_.chance(config_.lost_group)) {
    result.fault = Fault::group_lost;
    device_.lose();
    void_steps_ = static_cast<int32_t>(launched_.size());
  }
}

void Simulation::poison_free_blocks() {
  for (int32_t group = 0; group < scheduler_.kv().group_count(); ++group) {
    device_.poison(group, scheduler_.kv().pool(group).free_blocks());
  }
}

void Simulation::drain_events() {
  for (const EngineEvent& event : scheduler_.take_events()) {
    for (const auto& checker : checkers_) checker->on_event(event);
    if (!is_terminal(event)) continue;
    std::erase(live_, event.attempt);
    credit_.erase(event.attempt);
  }
}

}  // namespace bessemer
