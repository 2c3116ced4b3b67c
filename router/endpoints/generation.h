// One generating request from its body to its answer, on its connection's core.
//
//   body -> prepare (here, or in the pool when long) -> for each prompt: place -> Start ... rows ->
//   ChoiceStream -> Answer
//
// generation.cpp has its beginning and its end, generation_place.cpp what places its prompts,
// generation_rows.cpp what comes back, generation_out.cpp what goes out.
//
// Invariants
//   G1  The exchange gets exactly one answer: a body, a stream with its terminal frames, or an
//       error. A stream that has begun never just stops.
//   G2  When the client is gone, or the answer is given, every attempt has been cancelled or has
//       ended, the workers' slots (LoadSlot::own) are back, and nothing refers to this object any
//       more.
//   G3  A prompt is placed again after a loss only while nothing of it has been delivered.
//   G4  While the client lags, deltas merge here instead of queueing as frames.
//   G5  A list of prompts is placed through a window: `in_flight_` of them are at the workers or on
//       their way there, the others wait in `queue_`, and each that is done makes room for the
//       next.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/endpoints/choice_stream.h"
#include "router/endpoints/context.h"
#include "router/endpoints/dialect.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/prompt_route.h"
#include "router/openai/render.h"
#include "router/routing/placement.h"

namespace bessemer {

// Of one request at the workers at once, all its prompts together: what two workers run side by
// side by default (64 each), so that one client's list keeps them busy without filling their
// queues. One prompt may have as many alone (kMaxChoices).
constexpr int32_t kMaxChoicesInFlight = 128;

class Generation final : public std::enable_shared_from_this<Generation> {
 public:
  static void run(const Dialect& dialect, EndpointCall call);

  Generation(const Dialect& dialect, EndpointCall call);

 private:
  // One prompt on its way through a worker.
  struct Run final : AttemptSink {
    Run(Generation& generation, size_t number) : owner(generation), prompt(number) {}
    void on_row(const TokenRow& row, TimePoint now) override { owner.on_row(*this, row, now); }
    void on_event(const v1::Event& event, TimePoint now) override {
      owner.on_event(*this, event, now);
    }
    void on_lost(const std::string& reason) override { owner.on_lost(*this, reason); }
    void on_batch_end(TimePoint now) override { owner.on_batch_end(now); }

    Generation& owner;
    const size_t prompt;
    std::optional<PromptRoute> route;
    std::optional<Placement> placement;
    v1::Start start;  // without what placing decides; while in flight
    bool in_flight = false;
    int32_t bounces = 0;  // counted of this placement
    uint64_t serial = 0;  // of the live attempt; 0: none
    size_t recorded = 0;  // its number in the request's record
    uint32_t worker = 0;
    std::shared_ptr<LoadSlot> load;  // of the worker that has the live attempt
    std::vector<ChoiceStream> choices;
    std::vector<bool> stopped;  // by a stop string, and the worker has been told
    std::vector<TokenReport> prompt_scores;
    int32_t prompt_characters = 0;
    bool scores_delivered = false, admitted = false, delivered = false;
    bool counted = false;  // its prompt's tokens
    int64_t cached_tokens = 0;
    std::vector<TimePoint> last_row;  // by choice
  };

  void begin();
  void prepare_in_pool(ClusterViewPtr view);
  void prepared(PrepareResult result);
  void make_runs();
  void reset_choices(Run& run);

  int32_t most_in_flight() const;
  uint64_t session() const;
  PlacementInput placement_input(const Run& run) const;
  void begin_placement(Run& run);
  void launch();
  void place(Run& run);
  PlacementStep decide(Run& run);
  std::string decisions() const;
  std::vector<Candidate> candidates(const Run& run, bool& supported);
  std::vector<Candidate> able(const Run& run, std::span<const uint32_t> ids, bool& supported) const;
  Candidate candidate(const WorkerView& worker) const;
  void start_on(Run& run, const PlaceOn& place);
  void wait(Run& run, Duration delay);
  void refuse(Run& run, const PlaceRefused& refused);
  void put_back(Run& run);
  void retire(Run& run);
  void complete(Run& run);

  void on_row(Run& run, const TokenRow& row, TimePoint now);
  void on_event(Run& run, const v1::Event& event, TimePoint now);
  void on_rejected(Run& run, const v1::Rejected& rejected);
  void on_failed(Run& run, const v1::Failed& failed);
  void on_choice_end(Run& run, const v1::ChoiceEnd& end);
  void on_prompt_logprobs(Run& run, const v1::PromptLogprobs& scores);
  void on_lost(Run& run, const std::string& reason);
  void on_batch_end(TimePoint now);
  void on_abort(Abort reason);

  void admit(Run& run);
  static void add_score(Run& run, TokenReport report);
  void deliver_scores(Run& run);
  void stop_finished(Run& run);
  bool all_admitted() const;
  bool all_finished() const { return in_flight_ == 0 && queue_.empty(); }
  bool explains() const;
  void begin_stream();
  void pump();
  void pump_choice(Run& run, ChoiceStream& choice);
  void finish();
  void fail(const ApiError& error);
  void cancel_all();
  void close(int status);
  void log_request(int status) const;
  size_t record_attempt(const Run& run, const PlaceOn& place);
  UsageReport usage() const;

  const Dialect& dialect_;
  EndpointCall call_;
  const TimePoint received_, deadline_;
  std::optional<PreparedRequest> prepared_;
  std::string answer_id_;
  std::unique_ptr<Answer> answer_;
  uint64_t seed_ = 0;
  std::vector<std::unique_ptr<Run>> runs_;
  std::deque<Run*> queue_;              // to be placed yet
  int32_t in_flight_ = 0, window_ = 1;  // prompts: now, and at most
  std::vector<bool> finish_sent_;       // per choice of all prompts
  // Written on the core; the pool looks at it before it takes the body on.
  std::atomic<bool> closed_ = false;
  bool streaming_ = false, first_token_seen_ = false;
  bool news_ = false;  // since the last on_batch_end
};

}  // namespace bessemer
