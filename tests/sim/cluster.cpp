#include "tests/sim/cluster.h"

#include <algorithm>

#include "common/check.h"
#include "router/cluster/prefix_chain.h"

namespace bessemer::sim {
namespace {

// After the last turn: longer than any report is on its way.
constexpr Duration kSettle = std::chrono::seconds(2);
// Clients that are told to come back later than that do not: the official ones heed a Retry-After of
// up to a minute.
constexpr double kMostPatience_s = 60;

}  // namespace

StatusOr<std::unique_ptr<Cluster>> Cluster::make(const ClusterOptions& options,
                                                 const Workload& workload) {
  std::unique_ptr<Cluster> cluster(new Cluster(options, workload));
  for (int32_t i = 0; i < options.workers; ++i) {
    const auto incarnation = static_cast<uint64_t>(i) + 1;
    cluster->workers_.push_back(
        std::make_unique<SimWorker>(options.worker, incarnation, cluster->timeline_));
  }
  for (int32_t i = 0; i < options.routers; ++i) {
    ASSIGN_OR_RETURN(Contender contender, make_contender(options.policy));
    RouterOptions router = options.router;
    router.seed = cluster->random_.next();
    cluster->routers_.push_back(
        std::make_unique<SimRouter>(router, std::move(contender), cluster->timeline_));
    for (const auto& worker : cluster->workers_) cluster->routers_.back()->connect(*worker);
  }
  return cluster;
}

Cluster::Cluster(const ClusterOptions& options, const Workload& workload)
    : options_(options), workload_(workload), random_(options.seed) {}

void Cluster::run() {
  CHECK(records_.empty());
  turns_left_ = workload_.turn_count();
  if (turns_left_ == 0) over_ = timeline_.now();
  for (size_t i = 0; i < workload_.conversations.size(); ++i) {
    timeline_.after(from_seconds(workload_.conversations[i].at_s), [this, i] { ask(i, 0); });
  }
  tick();
  while (timeline_.step()) {
  }
  for (const auto& checker : checkers_) checker->on_idle(*this);
}

void Cluster::ask(size_t conversation, size_t number) {
  const Turn& turn = workload_.conversations[conversation].turns[number];
  const std::vector<int32_t> prompt = tokens_of(turn.prompt);
  const std::vector<int32_t> answer = tokens_of(std::span(&turn.answer, 1));
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), answer.begin(), answer.end());
  const uint64_t domain = options_.worker.engine.hash_domain;
  const int32_t known = note_blocks(prefix_chain(domain, "", prompt, kBlockTokens),
                                    prefix_chain(domain, "", all, kBlockTokens));
  ask_router(conversation, number, static_cast<int32_t>(prompt.size()) - known, 0, -1);
}

void Cluster::ask_router(size_t conversation, size_t number, int32_t fresh, int32_t retries,
                         double asked_s) {
  const Turn& turn = workload_.conversations[conversation].turns[number];
  Question question;
  question.prompt = tokens_of(turn.prompt);
  question.blocks = std::make_shared<const std::vector<uint64_t>>(
      prefix_chain(options_.worker.engine.hash_domain, "", question.prompt, kBlockTokens));
  question.request = ++last_request_;
  question.content = (conversation << 16) + number + 1;
  question.session = workload_.conversations[conversation].turns.size() > 1 ? conversation + 1 : 0;
  question.answer = turn.answer;
  SimRouter& router = *routers_[random_.below(routers_.size())];
  router.ask(std::move(question), [=, this](const Record& record) {
    const bool comes_back = record.retry_after_s >= 0 && record.retry_after_s <= kMostPatience_s;
    Record complete = record;
    complete.fresh = fresh;
    complete.retries = retries;
    if (asked_s >= 0) complete.asked_s = asked_s;
    if (!comes_back || retries >= options_.retries)
      return ended(conversation, number, std::move(complete));
    const double first_s = complete.asked_s;
    timeline_.after(from_seconds(record.retry_after_s),
                    [=, this] { ask_router(conversation, number, fresh, retries + 1, first_s); });
  });
}

// How many tokens of the prompt some earlier turn has had in the same place.
int32_t Cluster::note_blocks(std::span<const uint64_t> prompt, std::span<const uint64_t> all) {
  const auto first_new =
      std::ranges::find_if(prompt, [&](uint64_t block) { return !seen_.contains(block); });
  seen_.insert(all.begin(), all.end());
  return static_cast<int32_t>(first_new - prompt.begin()) * kBlockTokens;
}

void Cluster::ended(size_t conversation, size_t number, Record record) {
  const std::vector<Turn>& turns = workload_.conversations[conversation].turns;
  for (const auto& checker : checkers_) checker->on_end(record, *this);
  const bool goes_on = record.outcome == Outcome::answered && number + 1 < turns.size();
  records_.push_back(std::move(record));
  --turns_left_;
  if (goes_on) {
    const Duration thinking = from_seconds(turns[number + 1].after_s);
    return timeline_.after(thinking,
                           [this, conversation, number] { ask(conversation, number + 1); });
  }
  for (size_t rest = number + 1; rest < turns.size(); ++rest) {
    Record unasked;
    unasked.outcome = Outcome::unasked;
    unasked.prompt = length_of(turns[rest].prompt);
    unasked.answer = turns[rest].answer.count;
    records_.push_back(unasked);
    --turns_left_;
  }
  if (turns_left_ == 0) over_ = timeline_.now();
}

void Cluster::tick() {
  for (const auto& worker : workers_) worker->tick();
  for (const auto& router : routers_) router->tick();
  for (const auto& checker : checkers_) checker->on_tick(*this);
  if (over_ && timeline_.now() - *over_ >= kSettle) return;
  timeline_.after(SimWorker::kTick, [this] { tick(); });
}

std::string Cluster::complaint() const {
  for (const auto& checker : checkers_) {
    if (!checker->complaint().empty()) return checker->complaint();
  }
  return "";
}

}  // namespace bessemer::sim
