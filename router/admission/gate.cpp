#include "router/admission/gate.h"

#include <utility>

namespace bessemer {
namespace {

uint64_t number(TicketId ticket) {
  return static_cast<uint64_t>(ticket);
}

}  // namespace

bool Gate::is_open(const std::string& model) const {
  std::lock_guard lock(mutex_);
  const auto door = doors_.find(model);
  return door == doors_.end() || (door->second.is_open && door->second.room.empty());
}

Entry Gate::enter(const std::string& model, const Guest& guest, Turn turn, TimePoint now) {
  std::vector<Turn> turns;
  Entry entry = GoThrough{};
  {
    std::lock_guard lock(mutex_);
    Door& door = doors_[model];
    if (door.is_open && door.room.empty()) return entry;
    const auto result = door.room.enter(guest, limits_, now, service_at(now));
    if (const auto* away = std::get_if<TurnedAway>(&result)) return *away;
    const TicketId ticket = std::get<TicketId>(result);
    door.waiters.emplace(number(ticket), Waiter{guest, std::move(turn)});
    entry = ticket;
    turns = pump(door, now);
  }
  give(turns);
  return entry;
}

void Gate::found_none(const std::string& model) {
  std::lock_guard lock(mutex_);
  doors_[model].is_open = false;
}

void Gate::put_back(const std::string& model, TicketId ticket) {
  std::lock_guard lock(mutex_);
  Door& door = doors_.at(model);
  door.is_open = false;
  if (door.turns.erase(number(ticket)) == 0) return;
  door.room.put_back(ticket, door.waiters.at(number(ticket)).guest);
}

void Gate::gone(const std::string& model, TicketId ticket, TimePoint now) {
  {
    std::lock_guard lock(mutex_);
    Door& door = doors_.at(model);
    const auto waiter = door.waiters.find(number(ticket));
    if (waiter == door.waiters.end()) return;
    door.room.note_gone(waiter->second.guest, now);
  }
  leave(model, ticket, now);
}

void Gate::leave(const std::string& model, TicketId ticket, TimePoint now) {
  std::vector<Turn> turns;
  {
    std::lock_guard lock(mutex_);
    Door& door = doors_.at(model);
    door.room.leave(ticket, now);
    door.turns.erase(number(ticket));
    door.waiters.erase(number(ticket));
    turns = pump(door, now);
  }
  give(turns);
}

void Gate::wake(TimePoint now) {
  std::vector<Turn> turns;
  {
    std::lock_guard lock(mutex_);
    for (auto& [model, door] : doors_) {
      door.is_open = true;
      for (Turn& turn : pump(door, now)) turns.push_back(std::move(turn));
    }
  }
  give(turns);
}

std::vector<Gate::Turn> Gate::pump(Door& door, TimePoint now) {
  std::vector<Turn> turns;
  while (door.is_open && door.turns.size() < kTurns) {
    const auto ticket = door.room.next(now, service_at(now));
    if (!ticket) break;
    door.turns.insert(number(*ticket));
    turns.push_back(door.waiters.at(number(*ticket)).turn);
  }
  return turns;
}

ServiceOf Gate::service_at(TimePoint now) const {
  return [this, now](uint64_t tenant) { return accounts_.service_lately(tenant, now); };
}

RateVerdict Gate::take(const Tenant& tenant, int64_t prompt_tokens, TimePoint now) {
  std::lock_guard lock(mutex_);
  return limiter_.take(tenant, prompt_tokens, now, accounts_.given(tenant.id, now));
}

void Gate::give_back(const Tenant& tenant, int64_t prompt_tokens) {
  std::lock_guard lock(mutex_);
  limiter_.cancel(tenant, prompt_tokens);
}

void Gate::report(uint32_t worker, const v1::TenantReport& report, TimePoint now) {
  std::lock_guard lock(mutex_);
  accounts_.apply(worker, report, now, [this](uint64_t tenant, const TenantGiven& more) {
    limiter_.given(tenant, more);
  });
}

void Gate::drop(uint32_t worker, TimePoint now) {
  std::lock_guard lock(mutex_);
  accounts_.drop(worker, now);
}

void Gate::set_limits(const RoomLimits& limits) {
  std::lock_guard lock(mutex_);
  limits_ = limits;
}

size_t Gate::waiting() const {
  std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const auto& [model, door] : doors_) count += door.room.waiting();
  return count;
}

PromiseCounts Gate::promise_counts() const {
  std::lock_guard lock(mutex_);
  PromiseCounts all;
  for (const auto& [model, door] : doors_) {
    const PromiseCounts& each = door.room.promise_counts();
    all.told += each.told;
    all.let_in += each.let_in;
    all.refused += each.refused;
    all.early += each.early;
    all.lapsed += each.lapsed;
  }
  return all;
}

v1::Demand Gate::demand() const {
  struct Waiting {
    uint64_t tokens = 0;
    int32_t weight = 1;
  };
  std::map<uint64_t, Waiting> tenants;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [model, door] : doors_) {
      for (const auto& [ticket, waiter] : door.waiters) {
        Waiting& waiting = tenants[waiter.guest.tenant->id];
        waiting.tokens += static_cast<uint64_t>(waiter.guest.tokens);
        waiting.weight = waiter.guest.tenant->weight;
      }
    }
  }
  v1::Demand demand;
  for (const auto& [tenant, waiting] : tenants) {
    demand.add_tenant(tenant);
    demand.add_waiting_tokens(waiting.tokens);
    demand.add_weight(static_cast<uint32_t>(waiting.weight));
  }
  return demand;
}

}  // namespace bessemer
