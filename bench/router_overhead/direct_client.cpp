#include "bench/router_overhead/direct_client.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "bench/mock_worker/mock_model.h"
#include "router/upstream/worker_session.h"

namespace bessemer::bench {
namespace {

int64_t now_us() {
  return microseconds(std::chrono::steady_clock::now().time_since_epoch());
}

class Recorder final : public SessionObserver {
 public:
  void on_lane_up(size_t, const v1::Hello&) override { up = true; }
  void on_lane_down(size_t, const std::string&) override {}
  void on_draining() override {}
  void on_card(StatusOr<v1::ModelCard>) override {}
  void on_vocabulary(const std::string&, StatusOr<std::string>) override {}
  void on_report(const v1::LoadReport&) override {}
  void on_load(const v1::Load&) override {}
  void on_report_end(const std::string&) override {}
  void on_kv_update(uint64_t, KvDelivery& delivery) override { delivery.stop(); }
  void on_kv_end(uint64_t, const Status&) override {}
  void deliver(std::vector<CoreBatch>& batches) override {
    if (!measuring) return;
    const int64_t now = now_us();
    std::lock_guard lock(mutex);
    for (const auto& batch : batches) {
      for (const auto& item : batch.items) {
        const auto* row = std::get_if<TokenRow>(&item.what);
        if (row == nullptr) continue;
        const int64_t then = static_cast<int64_t>(row->ids[0]) - MockModel::kFirstNumber;
        latency.add(
            static_cast<double>(((now - then) % kTimedWindowUs + kTimedWindowUs) % kTimedWindowUs));
      }
    }
  }

  std::atomic<bool> up{false}, measuring{false};
  std::mutex mutex;
  Samples latency;
};

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace

Samples run_direct(const std::string& address, int streams, double warm_up_s, double measure_s) {
  Recorder recorder;
  WorkerSessionOptions options;
  options.address = address;
  const auto session = WorkerSession::create(options, recorder);
  while (!recorder.up) {
    session->tick(std::chrono::steady_clock::now());
    sleep_for(0.02);
  }
  for (int i = 0; i < streams; i++) {
    v1::Start start;
    start.mutable_input()->add_ids(MockModel::kFirstByte);
    start.mutable_generate()->set_n(1);
    start.mutable_generate()->set_max_tokens(1'000'000);
    start.mutable_generate()->set_ignore_eos(true);
    (void)session->start({0, static_cast<uint64_t>(i) + 1}, std::move(start));
  }
  const auto run_for = [&](double seconds) {
    for (double past = 0; past < seconds; past += 0.2) {
      session->tick(std::chrono::steady_clock::now());
      sleep_for(0.2);
    }
  };
  run_for(warm_up_s);
  recorder.measuring = true;
  run_for(measure_s);
  recorder.measuring = false;
  std::lock_guard lock(recorder.mutex);
  return std::move(recorder.latency);
}

}  // namespace bessemer::bench
