#include "router/telemetry/access_log.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include "common/log.h"

namespace bessemer {
namespace {

constexpr const char* kStandardOutput = "-";

int open_to_append(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

// Lines as they come, each in one write; spdlog's own file sink loses the old file when the new
// one cannot be opened.
class LineFile final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  LineFile(std::string path, int descriptor) : path_(std::move(path)), file_(descriptor) {}
  ~LineFile() override {
    if (owned()) ::close(file_);
  }
  void reopen() { stale_.store(true, std::memory_order_release); }
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (stale_.exchange(false, std::memory_order_acquire) && owned()) renew();
    line_.assign(message.payload.data(), message.payload.size());
    line_ += '\n';
    if (!write_line()) lost_.fetch_add(1, std::memory_order_relaxed);
  }
  void flush_() override {}

 private:
  bool owned() const { return file_ != STDOUT_FILENO; }
  void renew() {
    const int fresh = open_to_append(path_);
    if (fresh < 0) {
      return bessemer::log().warn("the access log goes on in the old file: {} cannot be opened: {}",
                                  path_, std::strerror(errno));
    }
    ::close(file_);
    file_ = fresh;
  }
  bool write_line() {
    for (size_t sent = 0; sent < line_.size();) {
      const ssize_t count = ::write(file_, line_.data() + sent, line_.size() - sent);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return false;
      sent += static_cast<size_t>(count);
    }
    return true;
  }

  const std::string path_;
  int file_;
  std::string line_;
  std::atomic<bool> stale_{false};
  std::atomic<uint64_t> lost_{0};
};

class AsyncAccessLog final : public AccessLog {
 public:
  explicit AsyncAccessLog(std::shared_ptr<LineFile> file)
      : file_(std::move(file)),
        pool_(std::make_shared<spdlog::details::thread_pool>(kMaxQueuedLines, 1)),
        logger_(std::make_shared<spdlog::async_logger>(
            "access", file_, pool_, spdlog::async_overflow_policy::overrun_oldest)) {
    logger_->set_level(spdlog::level::info);
  }
  void write(std::string_view line) override {
    logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }
  void reopen() override { file_->reopen(); }
  uint64_t dropped() const override { return pool_->overrun_counter() + file_->lost(); }

 private:
  const std::shared_ptr<LineFile> file_;
  const std::shared_ptr<spdlog::details::thread_pool> pool_;  // its destructor writes the rest (A3)
  const std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace

StatusOr<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  const int file = path == kStandardOutput ? STDOUT_FILENO : open_to_append(path);
  if (file < 0) {
    return absl::UnavailableError(
        "access_log: " + path + " cannot be written: " + std::strerror(errno) +
        "; name a file in a folder that exists, or - for standard output");
  }
  return std::make_unique<AsyncAccessLog>(std::make_shared<LineFile>(path, file));
}

}  // namespace bessemer
