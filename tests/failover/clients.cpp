#include "tests/failover/clients.h"

#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include "bench/serve/connection.h"

namespace bessemer::failover {
namespace {

namespace asio = boost::asio;

constexpr size_t kMostExamples = 20;

TimePoint now() {
  return std::chrono::steady_clock::now();
}

AnswerChecker::End end_of(const bench::HttpEnd& end) {
  if (end.failure == bench::Failure::none) return AnswerChecker::End::whole;
  return end.failure == bench::Failure::timeout ? AnswerChecker::End::timed_out
                                                : AnswerChecker::End::cut;
}

class Clients {
 public:
  Clients(const MockModel& model, const ClientOptions& options)
      : model_(model), options_(options), server_(asio::ip::address_v4::loopback(), options.port) {}

  ClientResult run() {
    const TimePoint begin = now();
    for (int i = 0; i < options_.concurrency; i++) {
      connections_.push_back(std::make_unique<bench::Connection>(io_, server_));
      asio::co_spawn(io_, client(*connections_.back()), asio::detached);
    }
    io_.run();
    result_.seconds = std::chrono::duration<double>(now() - begin).count();
    return std::move(result_);
  }

 private:
  asio::awaitable<void> client(bench::Connection& connection) {
    while (next_ < options_.streams) {
      const auto number = static_cast<uint64_t>(next_++);
      const StreamPlan plan = make_plan(model_, options_.seed, number);
      bench::HttpRequest request;
      request.method = "POST";
      request.path = "/v1/completions";
      request.body = body_of(plan, model_.name);
      AnswerChecker checker(plan, now());
      const bench::HttpEnd end = co_await connection.exchange(
          request,
          [&](int status, std::string_view piece) {
            checker.take(status, piece, now());
            return true;
          },
          [] {}, options_.patience);
      record(plan, checker.finish(end_of(end)));
    }
  }

  void record(const StreamPlan& plan, const Checked& checked) {
    result_.verdicts[static_cast<size_t>(checked.verdict)]++;
    if (checked.verdict == Verdict::right) {
      if (plan.streamed) result_.longest_gap_s.add(checked.longest_gap_s);
    } else if (result_.examples.size() < kMostExamples) {
      result_.examples.push_back(fmt::format("stream {} is {}: {}", plan.number,
                                             name_of(checked.verdict), checked.detail));
    }
  }

  const MockModel& model_;
  const ClientOptions options_;
  const asio::ip::tcp::endpoint server_;
  asio::io_context io_{1};
  std::vector<std::unique_ptr<bench::Connection>> connections_;
  int64_t next_ = 0;
  ClientResult result_;
};

}  // namespace

ClientResult run_clients(const MockModel& model, const ClientOptions& options) {
  return Clients(model, options).run();
}

}  // namespace bessemer::failover
