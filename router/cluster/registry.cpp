#include "router/cluster/registry.h"

#include <algorithm>

#include <fmt/format.h>

namespace bessemer {
namespace {

constexpr Duration kRetryAfter = std::chrono::milliseconds(500);

uint64_t feature_bits(const v1::Hello& hello) {
  uint64_t bits = 0;
  for (const uint32_t feature : hello.features()) {
    if (feature < 64) bits |= uint64_t{1} << feature;
  }
  return bits;
}

std::vector<std::string> names_of(const v1::ModelCard& card) {
  std::vector<std::string> names(card.aliases().begin(), card.aliases().end());
  names.push_back(card.name());
  return names;
}

}  // namespace

const char* worker_state_name(WorkerState state) {
  switch (state) {
    case WorkerState::down:
      return "down";
    case WorkerState::joining:
      return "joining";
    case WorkerState::ready:
      return "ready";
    case WorkerState::draining:
      return "draining";
    case WorkerState::absent:
      return "absent";
  }
  return "absent";
}

void Registry::forget(Worker& worker) {
  worker.lanes.clear();
  worker.view.card.reset();
  worker.view.incarnation = 0;
  worker.view.features = 0;
  worker.text.reset();
  worker.drains = false;
  worker.retries.clear();
  worker.view.load->reading.store({});
  worker.view.load->said_backlog.store(0, std::memory_order_relaxed);
}

WorkerState Registry::state_of(const Worker& worker) {
  if (worker.lanes.empty()) return WorkerState::down;
  if (worker.drains || !worker.standing || worker.standing == MemberStanding::leaving)
    return WorkerState::draining;
  const bool known = worker.view.card != nullptr && worker.text != nullptr;
  return known && worker.standing == MemberStanding::serving ? WorkerState::ready
                                                             : WorkerState::joining;
}

// Of a worker with a session; empty where it is ready.
std::string Registry::problem_of(const Worker& worker) {
  if (worker.drains) return "draining";
  if (!worker.standing) return "no longer listed";
  if (worker.standing == MemberStanding::leaving) return "terminating, says its cluster";
  if (worker.view.card == nullptr) return "waiting for its model card";
  if (worker.text == nullptr) return "waiting for its vocabulary";
  return worker.standing == MemberStanding::starting ? "not ready, says its cluster" : "";
}

void Registry::refresh(Worker& worker) {
  worker.view.state = state_of(worker);
  changed_ = true;
  if (worker.view.state == WorkerState::down) return;  // its problem is why the session ended
  worker.view.problem = problem_of(worker);
  if (worker.view.state != WorkerState::ready) return;
  for (const auto& name : names_of(*worker.view.card)) {
    known_models_.try_emplace(
        name, std::make_shared<const ModelView>(ModelView{worker.view.card, worker.text, {}}));
  }
}

std::vector<Wish> Registry::lane_up(uint32_t id, size_t lane, const v1::Hello& hello) {
  Worker* const found = find(id);
  if (found == nullptr) return {};
  Worker& worker = *found;
  const bool same = !worker.lanes.empty() && worker.view.incarnation == hello.incarnation();
  if (!same) forget(worker);
  worker.lanes.insert(lane);
  if (same) return {};
  worker.view.incarnation = hello.incarnation();
  worker.view.node = hello.node();
  worker.view.version = hello.version();
  worker.view.features = feature_bits(hello);
  refresh(worker);
  std::vector<Wish> wishes{{Wish::Kind::card, id, ""}};
  // A watch outlives the lanes as long as the connection does, and goes on then (R5).
  if (!std::exchange(worker.watched, true)) wishes.push_back({Wish::Kind::load, id, ""});
  return wishes;
}

void Registry::lane_down(uint32_t id, size_t lane, const std::string& reason) {
  Worker* const found = find(id);
  if (found == nullptr) return;
  Worker& worker = *found;
  const bool was_up = worker.lanes.erase(lane) > 0;
  if (!worker.lanes.empty()) return;
  const bool news = was_up || worker.view.problem != reason;
  forget(worker);
  worker.view.problem = reason;
  if (news) refresh(worker);
}

void Registry::draining(uint32_t id) {
  Worker* const worker = find(id);
  if (worker == nullptr || worker->drains || worker->lanes.empty()) return;
  worker->drains = true;
  refresh(*worker);
}

void Registry::fail(Worker& worker, Wish wish, const std::string& what, const Status& why,
                    TimePoint now) {
  if (worker.lanes.empty()) return;  // R1: asked again when it says Hello
  worker.view.problem = fmt::format("{}: {}", what, std::string(why.message()));
  worker.retries.emplace_back(now + kRetryAfter, std::move(wish));
  changed_ = true;
}

std::vector<Wish> Registry::card(uint32_t id, StatusOr<v1::ModelCard> card, TimePoint now) {
  Worker* const found = find(id);
  if (found == nullptr || found->lanes.empty()) return {};
  Worker& worker = *found;
  if (!card.ok()) {
    fail(worker, {Wish::Kind::card, id, ""}, "its model card could not be had", card.status(), now);
    return {};
  }
  const std::string hash = card->tokenizer_hash();
  worker.view.card = std::make_shared<const v1::ModelCard>(*std::move(card));
  worker.text = known_text(hash);
  refresh(worker);
  if (worker.text != nullptr) return {};
  return {{Wish::Kind::text, id, hash}};
}

void Registry::text(uint32_t id, const std::string& tokenizer_hash, StatusOr<ModelTextPtr> text,
                    TimePoint now) {
  if (text.ok()) texts_[tokenizer_hash] = *text;
  Worker* const found = find(id);
  if (found == nullptr) return;
  Worker& worker = *found;
  if (worker.view.card == nullptr || worker.view.card->tokenizer_hash() != tokenizer_hash) return;
  if (!text.ok()) {
    fail(worker, {Wish::Kind::text, id, tokenizer_hash}, "its vocabulary is unusable",
         text.status(), now);
    return;
  }
  worker.text = *text;
  refresh(worker);
}

void Registry::load_watch_ended(uint32_t id, TimePoint now) {
  Worker* const worker = find(id);
  if (worker == nullptr) return;
  worker->watched = false;
  if (!worker->lanes.empty())
    worker->retries.emplace_back(now + kRetryAfter, Wish{Wish::Kind::load, id, ""});
}

std::vector<Wish> Registry::retries(TimePoint now) {
  std::vector<Wish> due;
  for (auto& seat : seats_) {
    if (!seat.worker) continue;
    std::erase_if(seat.worker->retries, [&](const auto& retry) {
      if (retry.first > now) return false;
      due.push_back(retry.second);
      seat.worker->watched = seat.worker->watched || retry.second.kind == Wish::Kind::load;
      return true;
    });
  }
  return due;
}

ModelTextPtr Registry::known_text(const std::string& tokenizer_hash) const {
  const auto found = texts_.find(tokenizer_hash);
  return found == texts_.end() ? nullptr : found->second;
}

bool Registry::take_changed() {
  return std::exchange(changed_, false);
}

ClusterViewPtr Registry::view() {
  auto view = std::make_shared<ClusterView>();
  for (const auto& seat : seats_)
    view->workers.push_back(seat.worker ? seat.worker->view : WorkerView());
  index_models(*view);
  return view;
}

// A name belongs to the card that most of its ready workers have; what the others serve under it is
// not mixed in.
void Registry::index_models(ClusterView& view) {
  std::map<std::string, std::map<std::string, ModelView>> by_name;  // name -> card hash -> model
  for (const auto& seat : seats_) {
    if (!seat.worker || seat.worker->view.state != WorkerState::ready) continue;
    const WorkerView& worker = seat.worker->view;
    for (const auto& name : names_of(*worker.card)) {
      ModelView& model = by_name[name][worker.card->card_hash()];
      if (std::find(model.workers.begin(), model.workers.end(), worker.id) != model.workers.end())
        continue;
      model.card = worker.card;
      model.text = seat.worker->text;
      model.workers.push_back(worker.id);
    }
  }
  for (auto& [name, known] : known_models_) {
    if (by_name.contains(name)) continue;
    ModelView absent = *known;
    absent.workers.clear();
    known = std::make_shared<const ModelView>(std::move(absent));
  }
  for (auto& [name, cards] : by_name) {
    const auto most =
        std::max_element(cards.begin(), cards.end(), [](const auto& a, const auto& b) {
          return a.second.workers.size() < b.second.workers.size();
        });
    for (const auto& [hash, other] : cards) {
      if (hash != most->first) note_conflict(name, other, most->second, view);
    }
    known_models_[name] = std::make_shared<const ModelView>(std::move(most->second));
  }
  view.models = known_models_;
}

// Usually a file that was exchanged for some of the workers only. Of the names that two cards share,
// their own says more than an alias.
void Registry::note_conflict(const std::string& name, const ModelView& other,
                             const ModelView& chosen, ClusterView& view) {
  const std::string& own = other.card->name();
  if (name != own && own == chosen.card->name()) return;
  const WorkerView& rival = view.workers[chosen.workers.front()];
  for (const uint32_t id : other.workers) {
    WorkerView& worker = view.workers[id];
    if (!worker.problem.empty()) continue;
    worker.problem = fmt::format(
        "gets no requests for '{}': its model (card {:.12}) is not the one that {} serves under "
        "that name (card {:.12}); start both with the same file, or one under another --name",
        name, other.card->card_hash(), rival.address, chosen.card->card_hash());
  }
}

}  // namespace bessemer
