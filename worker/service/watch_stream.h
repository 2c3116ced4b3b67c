// A stream of reports to one router over gRPC's callback API: at most one write outstanding, ended
// by either side. Finish is called once, with no write outstanding, and nothing is started after it.
#pragma once
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

namespace bessemer {

template <typename Report>
class WatchStream : public grpc::ServerWriteReactor<Report> {
 public:
  // Ends the stream once what is being written is out.
  void close() {
    std::lock_guard lock(mutex_);
    closing_ = true;
    if (!writing_) finish();
  }

 protected:
  // Writes the report if `fill(report)` says that there is one; not while one is being written.
  template <typename Fill>
  void offer(Fill&& fill) {
    std::lock_guard lock(mutex_);
    if (!writing_ && !closing_ && fill(report_)) write();
  }

 private:
  // Called when a report is out. True: `report` is the next one, to be written at once.
  virtual bool follow_up(Report& report) {
    (void)report;
    return false;
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    closing_ = closing_ || !ok;
    if (closing_) return finish();
    if (follow_up(report_)) write();
  }
  void OnCancel() override { close(); }
  void write() {
    writing_ = true;
    this->StartWrite(&report_);
  }
  void finish() {
    if (!std::exchange(finished_, true)) this->Finish(grpc::Status::OK);
  }

  std::mutex mutex_;
  Report report_;
  bool writing_ = false, closing_ = false, finished_ = false;
};

template <typename Message>
class RefusedStream final : public grpc::ServerWriteReactor<Message> {
 public:
  explicit RefusedStream(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace bessemer
