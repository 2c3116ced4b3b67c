#include "router/cluster/worker_news.h"

#include <algorithm>
#include <set>

namespace bessemer {
namespace {

// Neither here nor gone: wait for what becomes of it.
bool is_on_its_way(const WorkerView& worker) {
  return worker.state == WorkerState::absent || worker.state == WorkerState::joining ||
         (worker.state == WorkerState::down && worker.problem == kNotConnectedYet);
}

bool is_loss(WorkerState state) {
  return state == WorkerState::down || state == WorkerState::stuck;
}

std::string describe(const WorkerView& worker, std::optional<WorkerState> before) {
  const bool was_here = before && before != WorkerState::down;
  switch (worker.state) {
    case WorkerState::ready:
      if (before == WorkerState::stuck) return "steps again";
      return "joined: it serves " + worker.card->name();
    case WorkerState::draining:
      return "takes no more requests (" + worker.problem + ")";
    case WorkerState::stuck:
      return "hangs: " + worker.problem + "; its requests move";
    default:
      return (was_here ? "is lost: " : "cannot be reached: ") + worker.problem;
  }
}

}  // namespace

std::vector<WorkerNewsLine> WorkerNews::look(const ClusterView& view, TimePoint now) {
  std::vector<WorkerNewsLine> lines;
  std::set<std::string> present;
  owed_.reset();
  for (const auto& worker : view.workers) {
    if (worker.state != WorkerState::absent) present.insert(worker.address);
    if (is_on_its_way(worker)) continue;
    Said& said = said_[worker.address];
    if (may_say(worker, said, now)) say(worker, said, lines);
  }
  std::erase_if(said_, [&](const auto& entry) { return !present.contains(entry.first); });
  return lines;
}

bool WorkerNews::may_say(const WorkerView& worker, Said& said, TimePoint now) {
  if (said.state == worker.state)
    return worker.state == WorkerState::ready && said.problem != worker.problem;
  if (!is_loss(worker.state)) return true;
  if (!said.state && !said.seen) said.seen = now;
  if (!said.state && now - *said.seen < kStartGrace) return owe(*said.seen + kStartGrace);
  if (said.lost && now - *said.lost < kQuietAfterLoss) return owe(*said.lost + kQuietAfterLoss);
  said.lost = now;
  return true;
}

bool WorkerNews::owe(TimePoint then) {
  owed_ = owed_ ? std::min(*owed_, then) : then;
  return false;
}

void WorkerNews::say(const WorkerView& worker, Said& said, std::vector<WorkerNewsLine>& lines) {
  const auto tell = [&](bool warning, const std::string& what) {
    lines.push_back({warning, "worker " + worker.address + " " + what});
  };
  if (said.state != worker.state) tell(is_loss(worker.state), describe(worker, said.state));
  said.state = worker.state;
  const std::string problem = worker.state == WorkerState::ready ? worker.problem : "";
  if (problem != said.problem && !problem.empty()) tell(true, problem);
  said.problem = problem;
}

}  // namespace bessemer
