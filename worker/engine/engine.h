// The engine thread: it alone owns sequences and KV accounting (E1), fed by a bounded mailbox.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/block_hash.h"
#include "common/clock.h"
#include "worker/engine/request.h"
#include "worker/engine/runner.h"
#include "worker/kv/event_log.h"

namespace bessemer {

struct EngineOptions {
  int32_t step_tokens = 512;  // rows of a step at most
  // While choices are streaming, prompts are cut so that a step takes about this long, or twice its
  // time without prompts where that is longer (chunk_pace.h); 0: step_tokens alone bounds it.
  Duration stream_step{};
  // Requests admitted that have no slot; beyond it Rejected{queue_full}.
  int32_t max_waiting = 256;
  // Requests that can do nothing before their receivers take more; beyond it Rejected{queue_full}.
  // As many as a lane may have attempts: each is a history of ids, since its KV goes first.
  int32_t max_parked = 1024;
  // Requests not yet seen by the engine thread; beyond it submit() refuses.
  int32_t mailbox_capacity = 1024;
  // Full KV blocks outlive their request, for those that begin alike.
  bool prefix_cache = true;
  uint64_t hash_domain = 0;      // the model card's
  ChainHash block_hash = chain;  // tests take one whose values fall together
};

// A snapshot, taken after every pass.
struct EngineStats {
  uint64_t steps = 0, tokens_generated = 0, tokens_prefilled = 0;
  uint64_t requests_finished = 0, preemptions = 0;
  int32_t running = 0, waiting = 0;  // requests with a slot, and without
  int32_t parked = 0;                // requests without credit, in neither of these
  int32_t slots_open = 0;
  int64_t backlog_tokens = 0;  // rows to be computed before those that are here draw
  int32_t kv_free = 0, kv_held = 0, kv_cached = 0, kv_total = 0;  // blocks, over all groups
  int64_t step_us = 0;                                            // exponential mean
  int32_t decode_rows = 0;          // of the last step without prompt rows
  int64_t decode_us = 0;            // its time
  double prefill_tokens_per_s = 0;  // exponential mean over steps with prompt rows
  uint64_t prefix_tokens_asked = 0, prefix_tokens_found = 0;  // of prompts that may read the cache
  // Some request could go on, or a step is awaited, or a request has not been looked at yet.
  bool work_pending = false;
};

// Until so many prompt tokens are computed; 0: the speed is not known yet.
inline int64_t prefill_us(const EngineStats& stats, int64_t tokens) {
  if (stats.prefill_tokens_per_s <= 0) return 0;
  return static_cast<int64_t>(1e6 * static_cast<double>(tokens) / stats.prefill_tokens_per_s);
}

class Engine {
 public:
  // Called on the engine thread with all that one pass produced, oldest first; must not block.
  // Events of one attempt never come from two passes at once.
  using Sink = std::function<void(StepId, std::vector<EngineEvent>)>;

  // `runner` and `clock` outlive the engine.
  Engine(EngineOptions options, Runner& runner, const Clock& clock, Sink sink);
  ~Engine();  // stops

  // Any thread. False: the mailbox is full or the engine is stopping; no event follows.
  bool submit(Request request);
  // Any thread; never refused. No choices: all. An unknown or ended attempt is not an error.
  void cancel(AttemptId attempt, std::span<const int32_t> choices = {});
  // Any thread; never refused. The receiver takes tokens up to this offset of each choice. Less than
  // was said before, or for an attempt without a limit, changes nothing.
  void credit(AttemptId attempt, int32_t send_until);
  // Any thread. No new requests are admitted (Rejected{draining}); those that are here finish.
  void drain();
  // Fails what is left (Fault::shutdown) and joins the thread; not from the sink. Idempotent. Steps
  // in flight are not waited for: the runner may still answer them.
  void stop();
  EngineStats stats() const;
  // Any thread: what the prefix cache holds, and how it changes.
  const KvEventLog& kv_events() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bessemer
