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
#pragma once
#include <cstdint>
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

namespace bessemer {

using ModelTextPtr = std::shared_ptr<const ModelText>;

// What the registry wants done; answers come back as the fact of the same name.
struct Wish {
  enum class Kind : uint8_t { card, text, load };
  Kind kind;
  uint32_t worker = 0;
  std::string tokenizer_hash;  // for text
};

class Registry {
 public:
  explicit Registry(const std::vector<std::string>& addresses);

  // Facts. Each returns what is wanted next.
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
  uint64_t incarnation(uint32_t worker) const { return workers_.at(worker).view.incarnation; }
  const std::shared_ptr<LoadSlot>& load(uint32_t worker) const {
    return workers_.at(worker).view.load;
  }

 private:
  struct Worker {
    WorkerView view;
    std::set<size_t> lanes;  // of this incarnation, that have had Hello
    bool drains = false, watched = false;
    ModelTextPtr text;
    std::vector<std::pair<TimePoint, Wish>> retries;
  };

  void forget(Worker& worker);
  void refresh(Worker& worker);
  void fail(Worker& worker, Wish wish, const std::string& what, const Status& why, TimePoint now);
  void index_models(ClusterView& view);

  std::vector<Worker> workers_;
  std::map<std::string, ModelTextPtr> texts_;  // by tokenizer hash; at most one a model ever seen
  std::map<std::string, std::shared_ptr<const ModelView>> known_models_;
  bool changed_ = true;
};

}  // namespace bessemer
