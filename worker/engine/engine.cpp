#include "worker/engine/engine.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "common/check.h"
#include "common/mailbox.h"
#include "worker/engine/control_box.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

struct Wake {};  // there are controls to take, or draining has begun
using Command = std::variant<Request, StepResult, Wake>;

// Wakes that can lie in the mailbox at once: two of controls (one pushed before and one after a
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
    while (wait()) {
      apply_all();
      if (!inbox->stopping) launch_all();
      publish();
      deliver();
    }
    scheduler.fail_all(Fault::shutdown, "the engine was stopped");
    publish();
    deliver();
  }

  // False: the engine has been stopped. What is parked has deadlines that no step comes to see.
  bool wait() {
    const TimePoint deadline = scheduler.next_deadline();
    if (scheduler.steps_in_flight() > 0 || deadline == TimePoint::max())
      return inbox->mailbox.wait_drain(commands);
    return inbox->mailbox.wait_drain_until(commands, deadline);
  }

  // Controls are taken before the mailbox is read to its end: a request controlled here has then
  // been added here.
  void apply_all() {
    const std::vector<Control> taken = controls.take();
    apply();
    inbox->mailbox.drain(commands);
    apply();
    for (const Control& control : taken) obey(control);
  }
  void obey(const Control& control) {
    if (control.send_until > 0) scheduler.credit(control.attempt, control.send_until);
    if (control.cancel_all) {
      scheduler.cancel(control.attempt, {}, clock.now());
    } else if (!control.cancelled.empty()) {
      scheduler.cancel(control.attempt, control.cancelled, clock.now());
    }
  }
  void apply() {
    if (draining || inbox->stopping) scheduler.drain();
    for (Command& command : commands) {
      if (auto* request = std::get_if<Request>(&command)) {
        scheduler.add(std::move(*request), clock.now());
        ++seen;
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
    published = seen;
  }
  void deliver() {
    std::vector<EngineEvent> events = scheduler.take_events();
    if (events.empty()) return;
    for (const EngineEvent& event : events) {
      if (is_terminal(event)) controls.end(event.attempt);
    }
    sink(last_step, std::move(events));
  }

  // Any thread.
  bool submit(Request request) {
    const AttemptId attempt = request.id;
    controls.begin(attempt);
    if (inbox->mailbox.push(Command(std::move(request)))) {
      ++submitted;
      return true;
    }
    controls.end(attempt);
    return false;
  }
  // A thread that hangs publishes nothing: what it was given and has not looked at is work, too.
  EngineStats stats() const {
    std::lock_guard lock(snapshot_mutex);
    EngineStats stats = snapshot;
    stats.work_pending = stats.work_pending || submitted > published;
    return stats;
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
  ControlBox controls;
  std::atomic<bool> draining = false;
  std::atomic<uint64_t> submitted = 0;  // requests that entered the mailbox
  uint64_t seen = 0;                    // of these, by the engine thread
  mutable std::mutex snapshot_mutex;
  EngineStats snapshot;
  uint64_t published = 0;  // requests seen before the snapshot
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
  if (impl_->controls.cancel(attempt, choices)) impl_->wake();
}

void Engine::credit(AttemptId attempt, int32_t send_until) {
  if (impl_->controls.credit(attempt, send_until)) impl_->wake();
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
  return impl_->stats();
}

}  // namespace bessemer
