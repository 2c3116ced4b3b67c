#include "router/http/asio_core.h"

#include <ctime>
#include <vector>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "router/http/connection.h"

namespace bessemer {
namespace {

// Time-outs are late by at most this much; at 200 ms an otherwise idle core with connections wakes
// five times a second.
constexpr auto kSweepInterval = std::chrono::milliseconds(200);

}  // namespace

AsioCore::AsioCore(size_t index, const HttpLimits& limits, FrontShared& shared)
    : index_(index),
      limits_(limits),
      shared_(shared),
      work_(boost::asio::make_work_guard(io_)),
      sweep_timer_(io_),
      random_(random_seed()) {}

AsioCore::~AsioCore() {
  stop();
}

void AsioCore::start() {
  thread_ = std::thread([this] { io_.run(); });
}

void AsioCore::stop() {
  if (!thread_.joinable()) return;
  post([this] {
    const std::vector<std::shared_ptr<Connection>> all(open_.begin(), open_.end());
    for (const auto& connection : all) connection->close();
    sweep_timer_.cancel();
    work_.reset();
    io_.stop();
  });
  thread_.join();
}

void AsioCore::abort_all(Abort reason) {
  post([this, reason] {
    const std::vector<std::shared_ptr<Connection>> all(open_.begin(), open_.end());
    for (const auto& connection : all) connection->abort_request(reason);
  });
}

void AsioCore::close_idle() {
  post([this] {
    const std::vector<std::shared_ptr<Connection>> all(open_.begin(), open_.end());
    for (const auto& connection : all) connection->close_if_idle();
  });
}

void AsioCore::set_limits(const HttpLimits& limits) {
  post([this, limits] { limits_ = limits; });
}

void AsioCore::post(Task task) {
  boost::asio::post(io_, std::move(task));
}

void AsioCore::after(Duration delay, Task task) {
  auto timer = std::make_shared<boost::asio::steady_timer>(io_, delay);
  timer->async_wait(
      [timer, task = std::move(task)](const boost::system::error_code& error) mutable {
        if (!error) task();
      });
}

const std::string& AsioCore::date() {
  const int64_t now = std::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    date_ = http_date(now);
  }
  return date_;
}

void AsioCore::adopt(std::shared_ptr<Connection> connection) {
  open_.insert(std::move(connection));
  if (!sweeping_) arm_sweep();
}

void AsioCore::forget(const std::shared_ptr<Connection>& connection) {
  if (open_.erase(connection) > 0) connections_.fetch_sub(1, std::memory_order_relaxed);
}

void AsioCore::arm_sweep() {
  sweeping_ = true;
  sweep_timer_.expires_after(kSweepInterval);
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

void AsioCore::sweep() {
  const TimePoint now = std::chrono::steady_clock::now();
  const std::vector<std::shared_ptr<Connection>> all(open_.begin(), open_.end());
  for (const auto& connection : all) connection->sweep(now);
  sweeping_ = false;
  if (!open_.empty()) arm_sweep();
}

}  // namespace bessemer
