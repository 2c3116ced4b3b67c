// Who is there and what they serve: an immutable snapshot, replaced as a whole when topology
// changes. Load is not in here but behind each worker's slot.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "router/cluster/load_slot.h"

namespace bessemer {

struct ModelText;  // tokenizer and templates made from a Vocabulary; opaque here
                   // (router/endpoints/model_text.h)

enum class WorkerState : uint8_t {
  down,      // no session
  joining,   // a session, but its model card or vocabulary is not here yet
  ready,     // takes work
  draining,  // finishes what it has
  absent,    // nobody has this id now
};
const char* worker_state_name(WorkerState state);

// The `problem` of a worker that no session has reached or failed to reach.
inline constexpr const char* kNotConnectedYet = "not connected yet";

struct WorkerView {
  uint32_t id = 0;  // position in ClusterView::workers; its own for as long as anybody holds `load`
  std::string address;
  WorkerState state = WorkerState::absent;
  std::string problem;  // why it is not ready, or why it gets no requests although it is
  uint64_t incarnation = 0;
  std::string node, version;
  uint64_t features = 0;                      // bit i: feature number i
  std::shared_ptr<const v1::ModelCard> card;  // null before it is known
  std::shared_ptr<LoadSlot> load;             // null only where the state is absent
};

// One model name and the workers that serve it, all of one card hash.
struct ModelView {
  std::shared_ptr<const v1::ModelCard> card;
  std::shared_ptr<const ModelText> text;
  std::vector<uint32_t>
      workers;  // ids of those that are ready; empty: known, but nobody serves it now
};

struct ClusterView {
  std::vector<WorkerView> workers;  // by id; never shrinks, so an id of an older view is in range
  std::map<std::string, std::shared_ptr<const ModelView>> models;  // by name and by alias
};
using ClusterViewPtr = std::shared_ptr<const ClusterView>;

}  // namespace bessemer
