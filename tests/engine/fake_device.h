// Executes plans over fake_model.h: its own slot tables and KV blocks, and a complaint about every
// plan that breaks P1-P4 or reads KV that is not the history's. A plan is executed when its result
// is asked for, as late as a real device might.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tests/engine/fake_model.h"
#include "worker/engine/step.h"

namespace bessemer::fake {

class FakeDevice {
 public:
  using Complain = std::function<void(const std::string&)>;
  FakeDevice(Limits limits, Complain complain);

  StepResult execute(const StepPlan& plan);
  // The host says that nobody has these blocks: whoever reads them from now on reads poison.
  void poison(int32_t group, std::span<const int32_t> blocks);
  // All slots are gone, and all KV.
  void lose();
  // Work number `work` of the last step has failed, and what it wrote is garbage. Reading that is no
  // reason to complain, since a step may have been launched before anybody knew; but whatever comes
  // of it is garbage too, which nobody may be given.
  void spoil(size_t work);

 private:
  struct Slot {
    bool open = false, worked = false;
    int32_t choice = 0, prompt_len = 0, length = 0;
    std::vector<int32_t> history, stop_ids;
    SamplingParams sampling;
    std::vector<std::vector<int32_t>> tables;
  };
  void open(const StepPlan& plan, const Open& open);
  void grow(const StepPlan& plan, const Grow& grow);
  void copy(const Move& move);
  void compute(const Work& work, StepResult& result);
  RowHash read_history(const Slot& slot, int32_t rows);
  void score(const Slot& slot, const Work& work, int32_t position, RowHash row, StepResult& result);
  void sample(Slot& slot, const Work& work, RowHash row, StepResult& result);
  RowHash* cell(const Slot& slot, size_t group, int32_t position);
  Slot* slot_of(int32_t index);
  void expect(bool holds, const std::string& what);

  const Limits limits_;
  const Complain complain_;
  StepId step_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::vector<std::vector<RowHash>>> kv_;  // [group][block][offset]
  std::vector<std::vector<RowHash*>> written_;         // by the works of the last step
};

}  // namespace bessemer::fake
