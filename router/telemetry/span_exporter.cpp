#include "router/telemetry/span_exporter.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/backoff.h"
#include "common/log.h"
#include "common/mailbox.h"
#include "router/telemetry/http_post.h"
#include "router/telemetry/retry.h"

namespace bessemer {
namespace {

constexpr const char* kTarget = "/v1/traces";

// A latch that a sleeping thread can be woken by.
class StopLatch {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  // True at once when it is set, false after `time`.
  bool wait(Duration time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

class OtlpExporter final : public SpanExporter {
 public:
  OtlpExporter(const ServerAddress& collector, const OtlpResource& resource,
               const ExportTimes& times)
      : collector_(collector),
        resource_(resource),
        times_(times),
        backoff_(times.first_backoff, times.most_backoff, random_seed()),
        thread_([this] { work(); }) {}
  ~OtlpExporter() override {
    stop_.set();
    queue_.close();
    thread_.join();
  }

  void push(RequestRecord record) override {
    if (!queue_.push(std::move(record))) dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  ExportCounts counts() const override { return {sent_.load(), dropped_.load(), retries_.load()}; }

 private:
  void work();
  void collect(std::vector<RequestRecord>& records);
  void send();
  void send(const std::vector<Span>& batch);
  Duration time_left();
  bool post(const std::vector<Span>& batch, Duration limit, std::optional<Duration>& asked);
  void drop(const std::vector<Span>& batch, const std::string& why);

  const ServerAddress collector_;
  const OtlpResource resource_;
  const ExportTimes times_;
  Mailbox<RequestRecord> queue_{kMaxQueuedRecords, 0};
  StopLatch stop_;
  Random random_{random_seed()};
  Backoff backoff_;
  std::vector<Span> pending_;
  std::optional<TimePoint> last_moment_;  // once it stops
  std::atomic<uint64_t> sent_{0}, dropped_{0}, retries_{0};
  bool complained_ = false;  // one line when the collector goes, one when it is back
  std::thread thread_;
};

void OtlpExporter::work() {
  std::vector<RequestRecord> records;
  bool open = true;
  while (open) {
    open = queue_.wait_drain(records);
    // The first record of a batch has come: others may join it.
    const TimePoint leaves = std::chrono::steady_clock::now() + times_.max_wait;
    collect(records);
    while (open && pending_.size() < kMaxBatchSpans && std::chrono::steady_clock::now() < leaves) {
      open = queue_.wait_drain_until(records, leaves);
      collect(records);
    }
    send();
  }
}

void OtlpExporter::collect(std::vector<RequestRecord>& records) {
  for (const RequestRecord& record : records) {
    std::vector<Span> spans = spans_of(record, random_);
    if (pending_.size() + spans.size() > kMaxPendingSpans) {
      dropped_.fetch_add(spans.size(), std::memory_order_relaxed);
      continue;
    }
    std::move(spans.begin(), spans.end(), std::back_inserter(pending_));
  }
}

void OtlpExporter::send() {
  while (!pending_.empty()) {
    const size_t count = std::min(pending_.size(), kMaxBatchSpans);
    const auto cut = pending_.begin() + static_cast<std::ptrdiff_t>(count);
    const std::vector<Span> batch(std::make_move_iterator(pending_.begin()),
                                  std::make_move_iterator(cut));
    pending_.erase(pending_.begin(), cut);
    send(batch);
  }
}

void OtlpExporter::send(const std::vector<Span>& batch) {
  for (int tries = 1; tries <= kMaxTries; tries++) {
    const bool stopping = stop_.wait(Duration::zero());
    const Duration limit = stopping ? time_left() : times_.post_limit;
    if (limit <= Duration::zero()) break;
    std::optional<Duration> asked;
    if (post(batch, limit, asked)) return;
    if (stopping || tries == kMaxTries) break;
    retries_.fetch_add(1, std::memory_order_relaxed);
    stop_.wait(backoff_.next(asked));
  }
  drop(batch, "the collector did not take them in time");
}

// Of the time that is given to the last posts.
Duration OtlpExporter::time_left() {
  const TimePoint now = std::chrono::steady_clock::now();
  if (!last_moment_) last_moment_ = now + times_.last_post;
  return *last_moment_ - now;
}

// False: worth another try.
bool OtlpExporter::post(const std::vector<Span>& batch, Duration limit,
                        std::optional<Duration>& asked) {
  const auto reply = post_json(collector_, kTarget, render_otlp(resource_, batch), limit);
  if (reply.ok() && reply->status / 100 == 2) {
    const auto rejected =
        std::min(static_cast<uint64_t>(rejected_spans(reply->body)), uint64_t{batch.size()});
    sent_.fetch_add(batch.size() - rejected, std::memory_order_relaxed);
    dropped_.fetch_add(rejected, std::memory_order_relaxed);
    if (std::exchange(complained_, false)) log().info("spans reach {} again", collector_.url());
    backoff_.reset();
    return true;
  }
  const std::string why = reply.ok() ? "it answers " + std::to_string(reply->status)
                                     : std::string(reply.status().message());
  if (!std::exchange(complained_, true))
    log().warn("spans do not reach {}: {}", collector_.url(), why);
  if (reply.ok() && !otlp_retryable(reply->status)) {
    drop(batch, why);
    return true;
  }
  if (reply.ok()) asked = reply->retry_after;
  return false;
}

void OtlpExporter::drop(const std::vector<Span>& batch, const std::string& why) {
  dropped_.fetch_add(batch.size(), std::memory_order_relaxed);
  log().debug("{} spans dropped: {}", batch.size(), why);
}

}  // namespace

std::unique_ptr<SpanExporter> SpanExporter::start(const ServerAddress& collector,
                                                  const OtlpResource& resource,
                                                  const ExportTimes& times) {
  return std::make_unique<OtlpExporter>(collector, resource, times);
}

}  // namespace bessemer
