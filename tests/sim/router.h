// A router in virtual time: the real placement and policies, index of the caches, load slots and
// sessions, over links with a delay. What the product's router does around them (text, HTTP,
// sessions) takes no time here.
//
//   T1  Every question ends once: answered, or refused.
//   T2  No more than max_waiting wait in it.
//   T3  What the router knows of a worker is what the worker's reports have told it, as late as
//       they come, and what it has sent itself.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "router/admission/gate.h"
#include "router/cluster/kv_mirror.h"
#include "router/cluster/kv_pledges.h"
#include "router/cluster/session_table.h"
#include "router/cluster/step_slope.h"
#include "router/routing/placement.h"
#include "router/routing/prefix_look.h"
#include "tests/sim/index.h"
#include "tests/sim/record.h"
#include "tests/sim/rivals/rival.h"
#include "tests/sim/timeline.h"
#include "tests/sim/worker.h"

namespace bessemer::sim {

struct RouterOptions {
  PlacementLimits limits;
  // It keeps to grants and has a gate, and Starts carry the policy's own estimate as a bound
  // (two-phase admission). Without it all workers always have room.
  bool admission = false;
  int32_t max_waiting = 1024;  // requests that wait for room in a worker
  Duration longest_wait = RoomLimits().longest_wait;
  Duration request_timeout = std::chrono::minutes(10);
  bool pledges = true;
  Duration latency = std::chrono::microseconds(500);  // one way, to a worker
  uint64_t seed = 1;
};

// One turn as it arrives.
struct Question {
  uint64_t request = 0;
  uint64_t content = 0;  // the same question, asked again, has the same
  uint64_t session = 0;  // 0: none
  std::vector<int32_t> prompt;
  ChainPtr blocks;  // of the prompt (prefix_chain)
  Segment answer;
};

class SimRouter {
 public:
  SimRouter(const RouterOptions& options, Contender contender, Timeline& timeline);
  ~SimRouter();

  void connect(SimWorker& worker);
  using Ended = std::function<void(const Record&)>;
  void ask(Question question, Ended ended);
  // What the threads that write the index and hear of the workers do from time to time.
  void tick();

  // For checks.
  const RouterOptions& options() const { return options_; }
  size_t under_way() const { return live_.size(); }
  int32_t waiting() const { return waiting_ + static_cast<int32_t>(gate_.waiting()); }
  const LoadSlot& load(uint32_t worker) const;
  const KvIndex& index() const { return index_; }
  const KvIndex& pledged() const { return pledged_; }
  const NaiveIndex& oracle() const { return oracle_; }
  // Matches in which the index and its oracle differed.
  uint64_t wrong_matches() const { return wrong_matches_; }

 private:
  class Link;
  struct Live {
    Question question;
    std::unique_ptr<Placement> placement;
    PlacementInput input;
    int64_t unadmitted = 0;  // its tokens in the slot's count
    KvPledgePtr pledge;      // until its first token
    bool through = false;    // it need not ask the gate again
    std::optional<TicketId> ticket_in_line;
    Record record;
    Ended ended;
  };

  std::vector<Candidate> candidates(const Live& live);
  void match(const Live& live, std::vector<Candidate>& all);
  void place(uint64_t request);
  PlacementStep decide(Live& live, std::vector<Candidate>& open);
  void wait(uint64_t request, Duration delay);
  bool may_pass(Live& live);
  bool stand_in_line(Live& live, bool found_none);
  void on_turn(uint64_t request);
  void note_placed(Live& live);
  void tend_tenants();
  void tidy();
  void start_on(Live& live, const PlaceOn& place, const std::vector<Candidate>& open);
  void admitted(uint64_t request, uint32_t worker, const Admitted& admitted);
  void rejected(uint64_t request, uint32_t worker, v1::RejectReason reason,
                const std::string& detail);
  void token(uint64_t request, int32_t offset, int32_t id);
  void pledge(Live& live, uint32_t worker);
  void release(Live& live, bool computed);
  void done(uint64_t request, uint32_t worker, const Usage& usage);
  void end(uint64_t request, Outcome outcome);

  const RouterOptions options_;
  const Contender contender_;
  Timeline& timeline_;
  Random random_;
  std::deque<std::unique_ptr<Link>> links_;  // by worker
  const TenantPtr tenant_;                   // everybody is one
  Gate gate_;
  TimePoint next_demand_{};
  KvIndex index_, pledged_;
  KvPledges pledges_;
  PrefixLook look_;
  NaiveIndex oracle_;
  SessionTable sessions_;
  uint64_t wrong_matches_ = 0;
  int32_t waiting_ = 0;
  std::unordered_map<uint64_t, Live> live_;
};

}  // namespace bessemer::sim
