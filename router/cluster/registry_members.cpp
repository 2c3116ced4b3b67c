// Who is a member, and who has which id.
#include <utility>

#include "router/cluster/registry.h"
#include "router/cluster/worker_source.h"

namespace bessemer {

void Registry::set_members(const std::vector<Member>& members) {
  std::map<std::string, MemberStanding> listed;
  for (const auto& member : members) listed[member.address] = member.standing;
  for (auto& seat : seats_) {
    if (!seat.worker) continue;
    const auto found = listed.find(seat.worker->view.address);
    if (found == listed.end()) {
      stand(*seat.worker, std::nullopt);
    } else {
      stand(*seat.worker, found->second);
      listed.erase(found);
    }
  }
  waiting_.clear();
  for (const auto& member : members) {
    if (listed.contains(member.address)) waiting_.push_back(member);
  }
}

void Registry::stand(Worker& worker, std::optional<MemberStanding> standing) {
  if (standing) worker.leaving_since.reset();
  if (worker.standing == standing) return;
  worker.standing = standing;
  refresh(worker);
}

Registry::Moves Registry::reconcile(TimePoint now) {
  Moves moves;
  for (uint32_t id = 0; id < seats_.size(); id++) {
    Seat& seat = seats_[id];
    if (!seat.worker || !departs(*seat.worker, now)) continue;
    seat.before = std::move(seat.worker->view.load);
    seat.worker.reset();
    changed_ = true;
    moves.departed.push_back(id);
  }
  while (!waiting_.empty()) {
    const auto id = free_seat();
    if (!id) break;
    take_seat(*id, waiting_.front());
    waiting_.pop_front();
    moves.joined.push_back(*id);
  }
  return moves;
}

// R6.
bool Registry::departs(Worker& worker, TimePoint now) const {
  if (worker.standing) return false;
  const bool connected = !worker.lanes.empty();
  if (connected && worker.view.load->own.load(std::memory_order_relaxed) > 0) {
    worker.leaving_since.reset();
    return false;
  }
  if (!worker.leaving_since) worker.leaving_since = now;
  return now - *worker.leaving_since >= (connected ? kLeaveConnectedAfter : kLeaveAfter);
}

// The lowest: what is kept by id stays dense.
std::optional<uint32_t> Registry::free_seat() {
  for (uint32_t id = 0; id < seats_.size(); id++) {
    const Seat& seat = seats_[id];
    if (!seat.worker && seat.before.use_count() <= 1) return id;
  }
  if (seats_.size() >= kMaxWorkers) return std::nullopt;
  seats_.emplace_back();
  return static_cast<uint32_t>(seats_.size() - 1);
}

void Registry::take_seat(uint32_t id, const Member& member) {
  Worker worker;
  worker.view.id = id;
  worker.view.address = member.address;
  worker.view.state = WorkerState::down;
  worker.view.problem = kNotConnectedYet;
  worker.view.load = std::make_shared<LoadSlot>();
  worker.standing = member.standing;
  seats_[id] = {std::move(worker), nullptr};
  changed_ = true;
}

Registry::Worker* Registry::find(uint32_t id) {
  return id < seats_.size() && seats_[id].worker ? &*seats_[id].worker : nullptr;
}

const WorkerView* Registry::worker(uint32_t id) const {
  return id < seats_.size() && seats_[id].worker ? &seats_[id].worker->view : nullptr;
}

}  // namespace bessemer
