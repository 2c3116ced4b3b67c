#include "worker/engine/engine.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "common/check.h"
#include "common/mailbox.h"
#include "worker/engine/cancel_box.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

struct Wake {};  // there are cancels to take, or draining has begun
using Command = std::variant<Request, StepResult, Wake>;

// Wakes that can lie in the mailbox at once: two of cancels (one pushed before and one after a
// take), one of drain().
constexpr size_t kWakes = 3;

// Outlives the engine in the runner's result sink: a step may come back after stop().
struct Inbox {
  Inbox(size_t capacity, size_t steps) : mailbox(capacity, steps + kWakes) {}
  Mailbox<Command> mailbox;
  std::atomic<bool> stopping = false;
};

}  // namespace

struct Engine::Impl {
  Impl(EngineOptions options, Runner& runner_in, const Clock& clock_in, Sink sink_in)
      : runner(runner_in),
        clock(clock_in),
        sink(std::move(sink_in)),
        scheduler(options, runner.limits()),
        inbox(std::make_shared<Inbox>(static_cast<size_t>(options.mailbox_capacity),
                                      static_cast<size_t>(runner.limits().steps_in_flight))) {
    snapshot = scheduler.stats();
    runner.set_result_sink([inbox = inbox](StepResult result) {
      const bool arrived = inbox->mailbox.push_reserved(Command(std::move(result)));
      CHECK(arrived || inbox->stopping);
    });
    thread = std::thread([this] { run(); });
  }

  // The engine thread.
  void run() {
    while (inbox->mailbox.wait_drain(commands)) {
      apply_all();
      if (!inbox->stopping) launch_all();
      publish();
      deliver();
    }
    scheduler.fail_all(Fault::shutdown, "the engine was stopped");
    publish();
    deliver();
  }

  // Cancels are taken before the mailbox is read to its end: a request cancelled here has then been
  // added here.
  void apply_all() {
    const std::vector<Cancel> taken = cancels.take();
    apply();
    inbox->mailbox.drain(commands);
    apply();
    for (const Cancel& cancel : taken) {
      const std::span<const int32_t> named = cancel.choices;
      scheduler.cancel(cancel.attempt, cancel.all ? named.first(0) : named, clock.now());
    }
  }
  void apply() {
    if (draining || inbox->stopping) scheduler.drain();
    for (Command& command : commands) {
      if (auto* request = std::get_if<Request>(&command)) {
        scheduler.add(std::move(*request), clock.now());
      } else if (const auto* result = std::get_if<StepResult>(&command)) {
        last_step = result->id;
        scheduler.commit(*result, clock.now());
      }
    }
    commands.clear();
  }
  void launch_all() {
    while (auto plan = scheduler.plan(clock.now())) runner.launch(std::move(*plan));
  }
  void publish() {
    const EngineStats stats = scheduler.stats();
    std::lock_guard lock(snapshot_mutex);
    snapshot = stats;
  }
  void deliver() {
    std::vector<EngineEvent> events = scheduler.take_events();
    if (events.empty()) return;
    for (const EngineEvent& event : events) {
      if (is_terminal(event)) cancels.end(event.attempt);
    }
    sink(last_step, std::move(events));
  }

  // Any thread.
  bool submit(Request request) {
    const AttemptId attempt = request.id;
    cancels.begin(attempt);
    if (inbox->mailbox.push(Command(std::move(request)))) return true;
    cancels.end(attempt);
    return false;
  }
  // A full mailbox, or a closed one, wakes the thread as well.
  void wake() { inbox->mailbox.push_reserved(Command(Wake{})); }
  void stop() {
    inbox->stopping = true;
    inbox->mailbox.close();
    std::lock_guard lock(join_mutex);
    if (thread.joinable()) thread.join();
  }

  Runner& runner;
  const Clock& clock;
  const Sink sink;
  Scheduler scheduler;
  StepId last_step = 0;
  std::vector<Command> commands;

  const std::shared_ptr<Inbox> inbox;
  CancelBox cancels;
  std::atomic<bool> draining = false;
  mutable std::mutex snapshot_mutex;
  EngineStats snapshot;
  std::mutex join_mutex;
  std::thread thread;
};

Engine::Engine(EngineOptions options, Runner& runner, const Clock& clock, Sink sink)
    : impl_(std::make_unique<Impl>(options, runner, clock, std::move(sink))) {}
Engine::~Engine() {
  stop();
}

bool Engine::submit(Request request) {
  return impl_->submit(std::move(request));
}

void Engine::cancel(AttemptId attempt, std::span<const int32_t> choices) {
  if (impl_->cancels.add(attempt, choices)) impl_->wake();
}

void Engine::drain() {
  if (!impl_->draining.exchange(true)) impl_->wake();
}

void Engine::stop() {
  impl_->stop();
}

const KvEventLog& Engine::kv_events() const {
  return impl_->scheduler.kv().events();
}

EngineStats Engine::stats() const {
  std::lock_guard lock(impl_->snapshot_mutex);
  return impl_->snapshot;
}

}  // namespace bessemer
