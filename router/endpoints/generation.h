// One generating request from its body to its answer, on its connection's core.
//
//   body -> prepare (here, or in the pool when long) -> for each prompt: place -> Start ... rows ->
//   ChoiceStream -> Answer
//
// generation.cpp has its beginning and its end, generation_place.cpp what places its prompts,
// generation_line.cpp who waits for a place, generation_start.cpp what is sent then,
// generation_rows.cpp what comes back, generation_out.cpp what goes out; generation_lost.cpp has
// what is done when a worker is lost, generation_move.cpp when one drains.
//
// Invariants
//   G1  The exchange gets exactly one answer: a body, a stream with its terminal frames, or an
//       error. A stream that has begun never just stops.
//   G2  When the client is gone, or the answer is given, every attempt has been cancelled or has
//       ended, the workers' slots (LoadSlot::own) are back, and nothing refers to this object any
//       more.
//   G3  After a loss a prompt begins anew while nothing of it was accepted, and goes on behind what
//       its journal has otherwise: what the choices have made of their tokens stays, so the client
//       sees neither a gap nor a repetition. Where that cannot be (no worker resumes, the journal
//       was given up) it begins anew as long as nothing of it was delivered; after that the client
//       gets the terminal error.
//       A draining worker's stream stops there only once another worker has admitted it; what both
//       wrote is compared and delivered once.
//   G4  While the client lags, deltas merge here instead of queueing as frames, and its worker gets
//       no further ahead of it than a window (Credit), where it heeds that.
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
#include "router/endpoints/journal.h"
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
  struct Run;
  // A second attempt of a prompt, until its worker has admitted it (generation_move.cpp).
  struct Move final : AttemptSink {
    Move(std::shared_ptr<Generation> generation, Run& moved, const Placement& so_far)
        : owner(std::move(generation)), run(moved), placement(so_far) {}
    void on_row(const TokenRow&, TimePoint) override {}  // none comes before Admitted
    void on_event(const v1::Event& event, TimePoint) override {
      owner->on_move_event(*this, event);
    }
    void on_lost(const AttemptLost&) override { owner->end_move(run); }
    void on_drain(Duration) override {}
    void on_batch_end(TimePoint now) override { owner->on_batch_end(now); }

    const std::shared_ptr<Generation> owner;
    Run& run;
    Placement placement;
    uint64_t serial = 0;  // 0: not placed
    uint32_t worker = 0;
    uint64_t features = 0;
    uint32_t credit = 0;
    size_t recorded = 0;
    std::shared_ptr<LoadSlot> load;
    std::vector<bool> ended;  // choices, when it was started
  };
  // One prompt on its way through a worker.
  struct Run final : AttemptSink {
    Run(Generation& generation, size_t number) : owner(generation), prompt(number) {}
    void on_row(const TokenRow& row, TimePoint now) override { owner.on_row(*this, row, now); }
    void on_event(const v1::Event& event, TimePoint now) override {
      owner.on_event(*this, event, now);
    }
    void on_lost(const AttemptLost& lost) override { owner.on_lost(*this, lost); }
    void on_drain(Duration grace) override { owner.on_drain(*this, grace); }
    void on_batch_end(TimePoint now) override { owner.on_batch_end(now); }

    Generation& owner;
    const size_t prompt;
    std::shared_ptr<Move> move;  // to another worker, while the live attempt goes on
    std::optional<PromptRoute> route;
    std::optional<Placement> placement;
    v1::Start
        start;  // without what placing decides and without what was delivered; while in flight
    std::optional<Journal> journal;  // while in flight
    bool in_flight = false;
    bool through = false;                    // it need not wait in line
    std::optional<TicketId> ticket_in_line;  // it waits, or has its turn
    std::shared_ptr<Generation> waits;       // keeps the owner alive meanwhile
    int32_t bounces = 0;                     // counted of this placement
    uint64_t serial = 0;                     // of the live attempt; 0: none
    size_t recorded = 0;                     // its number in the request's record
    uint32_t worker = 0;
    uint64_t features = 0;           // of the last worker, as its view said
    std::string numerics;            // of the worker that began it
    std::shared_ptr<LoadSlot> load;  // of the worker that has the live attempt
    uint32_t credit = 0;             // Start.send_until of the live attempt, as raised
    bool alone = false;              // nothing else may be placed there (LoadSlot::exclusive)
    bool resuming = false;           // its attempts go on behind the journal
    int32_t resumes = 0;
    ResumePacer::Ticket ticket = 0;  // from a loss to the first output after it
    int32_t yields = 0;              // times that it let resumes go first
    bool to_admit = false;           // its attempt's Admitted has not come
    TimePoint gap_from{};            // the last token before the loss that it recovers from
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
  PrepareResult read(std::string_view body, const ClusterView& view);
  void prepare_in_pool(ClusterViewPtr view);
  void prepared(PrepareResult result);
  void make_runs();
  void reset_choices(Run& run);

  int32_t most_in_flight() const;
  uint64_t session() const;
  PlacementInput placement_input(const Run& run) const;
  void launch();
  void place(Run& run);
  PlacementStep decide(Run& run, Placement& placement, bool resumes);
  std::string decisions() const;
  std::vector<Candidate> candidates(const Run& run, bool resumes, bool& supported);
  std::vector<uint32_t> workers_of_card(const Run& run) const;
  std::vector<Candidate> able(const Run& run, bool resumes, std::span<const uint32_t> ids,
                              bool& supported) const;
  Candidate candidate(const Run& run, bool resumes, const WorkerView& worker) const;
  void start_on(Run& run, const PlaceOn& place);
  v1::Start start_for(const Run& run, const PlaceOn& place, bool resumes) const;
  bool send(const PlaceOn& place, uint64_t serial, size_t recorded, v1::Start start,
            Placement& placement);
  void claim(Run& run, const PlaceOn& place);
  bool may_pass(Run& run);
  bool stand_in_line(Run& run, bool found_none);
  void on_turn(Run& run);
  void note_placed(Run& run);
  void leave_line(Run& run);
  Guest guest(const Run& run) const;
  bool take_from_limits();
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
  void on_admitted(Run& run, const v1::Admitted& admitted);
  void on_lost(Run& run, const AttemptLost& lost);
  void lose(Run& run, LossCause cause, const std::string& reason);
  bool can_resume(const Run& run) const;
  void resume(Run& run, LossCause cause);
  void restart(Run& run);
  int64_t resume_budget() const;
  void release_resumes();
  void leave_pacer(Run& run);
  void on_drain(Run& run, Duration grace);
  void begin_move(Run& run);
  void advance_move(Run& run);
  void start_move(Run& run, const PlaceOn& place);
  void on_move_event(Move& move, const v1::Event& event);
  void adopt_move(Run& run);
  void end_move(Run& run);
  void retire_move(Move& move) const;
  AttemptKey key_of(uint64_t serial) const;
  static TimePoint now_steady() { return std::chrono::steady_clock::now(); }
  void observe_row(Run& run, const TokenRow& row, TimePoint now);
  void record(Run& run, const TokenRow& row, size_t known);
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
  uint32_t send_until(const Run& run, uint64_t features) const;
  void give_credit(Run& run);
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
  uint64_t content_ = 0;      // hash of the body
  int64_t taken_tokens_ = 0;  // from its tenant's limits
  bool was_admitted_ = false;
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
