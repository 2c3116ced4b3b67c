// What is known of each worker, as a state machine: facts in, wishes and views out. No I/O, no
// clock, no thread.
//
// Invariants
//   R1  What was learnt from one incarnation is forgotten when another says Hello, or when its last
//       lane is gone.
//   R2  A worker is ready once it has a lane, its card and the text made from its vocabulary; a
//       card that no session of the same incarnation served is never used.
//   R3  A model that was ever served stays known (503, not 404) until the router ends.
//   R4  A lane counts from its Hello to its end: one that only waits for Hello does not hold a
//       worker up.
//   R5  Of each worker at most one load watch is wished for until it has ended.
//   R6  A worker that is no member any more gets no new work at once, and keeps its lanes while
//       requests of this router run on it: it departs when they are over (kLeaveAfter,
//       kLeaveConnectedAfter), or stays where it becomes a member again before.
//   R7  An id is given to another worker only when nobody but the registry holds the load slot of
//       the one before: no view and no request can mean the former.
//   R8  At most kMaxWorkers have an id; members beyond wait until one departs.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "bessemer/v1/engine.pb.h"
#include "common/clock.h"
#include "common/status.h"
#include "router/cluster/cluster_view.h"
#include "router/cluster/roster.h"

namespace bessemer {

using ModelTextPtr = std::shared_ptr<const ModelText>;

// What the registry wants done; answers come back as the fact of the same name.
struct Wish {
  enum class Kind : uint8_t { card, text, load };
  Kind kind;
  uint32_t worker = 0;
  std::string tokenizer_hash;  // for text
};

// Behind a lost connection: for the orphans of a worker to be attached to again (they live for two
// seconds), and one more for the connection.
constexpr Duration kLeaveAfter = std::chrono::seconds(3);
// With lanes but without requests of this router: long enough that a member that comes and goes
// (a failed probe, an endpoint that moves between slices) keeps its session.
constexpr Duration kLeaveConnectedAfter = std::chrono::seconds(30);

class Registry {
 public:
  // Who there should be, each address once; ids are given in this order. What follows from it comes
  // from reconcile().
  void set_members(const std::vector<Member>& members);
  // Whose sessions are to begin, and whose are to end: those ids mean nobody from now on. Call it
  // after set_members() and several times a second.
  struct Moves {
    std::vector<uint32_t> joined, departed;
  };
  Moves reconcile(TimePoint now);
  // Null: nobody has this id.
  const WorkerView* worker(uint32_t id) const;

  // Facts; one about an id that nobody has is dropped. Each returns what is wanted next.
  std::vector<Wish> lane_up(uint32_t worker, size_t lane, const v1::Hello& hello);
  // Also for a lane that ended before its Hello.
  void lane_down(uint32_t worker, size_t lane, const std::string& reason);
  void draining(uint32_t worker);
  std::vector<Wish> card(uint32_t worker, StatusOr<v1::ModelCard> card, TimePoint now);
  void text(uint32_t worker, const std::string& tokenizer_hash, StatusOr<ModelTextPtr> text,
            TimePoint now);
  void load_watch_ended(uint32_t worker, TimePoint now);
  // What failed and is due again.
  std::vector<Wish> retries(TimePoint now);

  // The text of a vocabulary that some worker has had, or null.
  ModelTextPtr known_text(const std::string& tokenizer_hash) const;
  // True once after each change that views show.
  bool take_changed();
  ClusterViewPtr view();
  // 0: the worker is not there.
  uint64_t incarnation(uint32_t id) const {
    const WorkerView* view = worker(id);
    return view == nullptr ? 0 : view->incarnation;
  }

 private:
  struct Worker {
    WorkerView view;
    std::optional<MemberStanding> standing;  // none: not a member any more
    std::optional<TimePoint> leaving_since;  // without a request of ours
    std::set<size_t> lanes;                  // of this incarnation, that have had Hello
    bool drains = false, watched = false;
    ModelTextPtr text;
    std::vector<std::pair<TimePoint, Wish>> retries;
  };

  // A position of ClusterView::workers, and who has it.
  struct Seat {
    std::optional<Worker> worker;
    std::shared_ptr<LoadSlot> before;  // of the last who had it (R7)
  };

  Worker* find(uint32_t id);
  bool departs(Worker& worker, TimePoint now) const;
  std::optional<uint32_t> free_seat();
  void take_seat(uint32_t id, const Member& member);
  void stand(Worker& worker, std::optional<MemberStanding> standing);
  static WorkerState state_of(const Worker& worker);
  static std::string problem_of(const Worker& worker);
  void forget(Worker& worker);
  void refresh(Worker& worker);
  void fail(Worker& worker, Wish wish, const std::string& what, const Status& why, TimePoint now);
  void index_models(ClusterView& view);
  static void note_conflict(const std::string& name, const ModelView& other,
                            const ModelView& chosen, ClusterView& view);

  std::vector<Seat> seats_;                    // by id
  std::deque<Member> waiting_;                 // members without an id
  std::map<std::string, ModelTextPtr> texts_;  // by tokenizer hash; at most one a model ever seen
  std::map<std::string, std::shared_ptr<const ModelView>> known_models_;
  bool changed_ = true;
};

}  // namespace bessemer
