// A Runner over FakeDevice: a thread executes plans in order, each after a pause.
#pragma once
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "common/mailbox.h"
#include "tests/engine/fake_device.h"
#include "worker/engine/runner.h"

namespace bessemer::fake {

class FakeRunner final : public Runner {
 public:
  FakeRunner(Limits limits, std::chrono::microseconds pause)
      : limits_(limits),
        pause_(pause),
        device_(limits, [this](const std::string& what) { complain(what); }),
        plans_(static_cast<size_t>(limits.steps_in_flight), 0) {}
  ~FakeRunner() override {
    plans_.close();
    if (thread_.joinable()) thread_.join();
  }

  const Limits& limits() const override { return limits_; }
  void set_result_sink(std::function<void(StepResult)> sink) override {
    sink_ = std::move(sink);
    thread_ = std::thread([this] { run(); });
  }
  void launch(StepPlan plan) override {
    if (!plans_.push(std::move(plan))) complain("more steps in flight than the limit");
  }

  uint64_t steps() const { return steps_; }
  std::string complaint() const {
    std::lock_guard lock(mutex_);
    return complaint_;
  }

 private:
  void run() {
    std::vector<StepPlan> taken;
    while (plans_.wait_drain(taken)) {
      for (const StepPlan& plan : taken) {
        if (pause_.count() > 0) std::this_thread::sleep_for(pause_);
        ++steps_;
        sink_(device_.execute(plan));
      }
    }
  }
  void complain(const std::string& what) {
    std::lock_guard lock(mutex_);
    if (complaint_.empty()) complaint_ = what;
  }

  const Limits limits_;
  const std::chrono::microseconds pause_;
  FakeDevice device_;
  Mailbox<StepPlan> plans_;
  std::function<void(StepResult)> sink_;
  std::thread thread_;
  std::atomic<uint64_t> steps_ = 0;
  mutable std::mutex mutex_;
  std::string complaint_;
};

}  // namespace bessemer::fake
