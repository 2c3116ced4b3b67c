// What of the workers belongs in the log: who joined, who was lost and why, who serves what
// another one serves differently. Views in, lines out. No I/O, no clock, no thread.
//
// Invariants
//   N1  The last that was said of a worker is what it is, once kQuietAfterLoss has passed.
//   N2  Of a worker that comes and goes, one loss and one return are said in kQuietAfterLoss.
//   N3  A worker that is only starting is not talked of: one that was never here may be out of reach
//       for kStartGrace.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "router/cluster/cluster_view.h"

namespace bessemer {

// A worker that crashes as it starts is restarted every few seconds.
constexpr Duration kQuietAfterLoss = std::chrono::seconds(10);

// Routers and workers are started together, and a worker has a model to load.
constexpr Duration kStartGrace = std::chrono::seconds(5);

struct WorkerNewsLine {
  bool warning = false;
  std::string text;
};

class WorkerNews {
 public:
  std::vector<WorkerNewsLine> look(const ClusterView& view, TimePoint now);
  // True: something was kept back that may be said now; look again.
  bool due(TimePoint now) const { return owed_ && now >= *owed_; }

 private:
  struct Said {
    std::optional<WorkerState> state;  // none: nothing yet
    std::string problem;               // of a ready one
    std::optional<TimePoint> lost;
    std::optional<TimePoint> seen;  // first out of reach, while nothing has been said
  };
  // False; it may be said then.
  bool owe(TimePoint then);
  bool may_say(const WorkerView& worker, Said& said, TimePoint now);
  static void say(const WorkerView& worker, Said& said, std::vector<WorkerNewsLine>& lines);

  std::map<std::string, Said> said_;  // by address; of those in the last view
  std::optional<TimePoint> owed_;     // when the first of what was kept back may be said
};

}  // namespace bessemer
