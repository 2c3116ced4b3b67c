#include "bench/serve/load.h"

#include <algorithm>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/resource.h>

#include "bench/serve/answer_reader.h"
#include "bench/serve/connection.h"
#include "bench/serve/dialogue.h"

namespace bessemer::bench {
namespace {

namespace asio = boost::asio;

constexpr auto use_tuple = asio::experimental::as_tuple(asio::use_awaitable);

TimePoint now() {
  return std::chrono::steady_clock::now();
}

double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Load {
 public:
  Load(const Target& target, const Phase& phase, const LoadOptions& options)
      : target_(target), phase_(phase), options_(options) {}
  StatusOr<LoadResult> run();

 private:
  asio::awaitable<void> slot();
  asio::awaitable<void> arrivals();
  asio::awaitable<void> arrived(const Conversation& conversation, TimePoint due);
  asio::awaitable<void> converse(Connection& connection, const Conversation& conversation,
                                 TimePoint due);
  asio::awaitable<Failure> ask(Connection& connection, Dialogue& dialogue, const Turn& turn,
                               Outcome& outcome, bool keep_text);
  void never_sent(const Conversation& conversation, size_t from, TimePoint due, Failure failure,
                  const std::string& message);
  Outcome& record(const Conversation& conversation, size_t turn, TimePoint due);
  Connection& new_connection();
  Connection& take_connection();

  const Target& target_;
  const Phase& phase_;
  const LoadOptions& options_;
  asio::io_context io_{1};
  asio::ip::tcp::endpoint server_;
  std::vector<std::unique_ptr<Outcome>> outcomes_;  // at fixed places: coroutines write into them
  // To the end: a timer that fires in the moment of an answer still finds its connection.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;  // of an open loop
  size_t next_ = 0;                // of a closed loop
  int in_flight_ = 0;
};

StatusOr<LoadResult> Load::run() {
  ASSIGN_OR_RETURN(server_, resolve(io_, target_.server));
  const double cpu_before = own_cpu_seconds();
  const TimePoint begin = now();
  if (phase_.timed) {
    asio::co_spawn(io_, arrivals(), asio::detached);
  } else {
    for (int i = 0; i < options_.concurrency; ++i) asio::co_spawn(io_, slot(), asio::detached);
  }
  io_.run();
  LoadResult result;
  TimePoint end = begin;
  for (const std::unique_ptr<Outcome>& outcome : outcomes_) {
    end = std::max(end, outcome->end);
    result.outcomes.push_back(std::move(*outcome));
  }
  result.wall_s = ms_between(begin, end) / 1e3;
  const double spent = ms_between(begin, now()) / 1e3;
  result.client_cpu_share = spent > 0 ? (own_cpu_seconds() - cpu_before) / spent : 0;
  return result;
}

asio::awaitable<void> Load::slot() {
  Connection& connection = new_connection();
  while (next_ < phase_.conversations.size()) {
    const Conversation& conversation = phase_.conversations[next_++];
    co_await converse(connection, conversation, now());
  }
}

asio::awaitable<void> Load::arrivals() {
  asio::steady_timer timer(io_);
  const TimePoint begin = now();
  for (const Conversation& conversation : phase_.conversations) {
    const TimePoint due = begin + std::chrono::duration_cast<Duration>(
                                      std::chrono::duration<double>(conversation.at_s));
    timer.expires_at(due);
    co_await timer.async_wait(use_tuple);
    asio::co_spawn(io_, arrived(conversation, due), asio::detached);
  }
}

asio::awaitable<void> Load::arrived(const Conversation& conversation, TimePoint due) {
  if (in_flight_ >= options_.max_in_flight) {
    never_sent(conversation, 0, due, Failure::overrun,
               std::to_string(options_.max_in_flight) + " requests are in flight");
    co_return;
  }
  ++in_flight_;
  Connection& connection = take_connection();
  co_await converse(connection, conversation, due);
  idle_.push_back(&connection);
  --in_flight_;
}

Connection& Load::new_connection() {
  connections_.push_back(std::make_unique<Connection>(io_, server_));
  return *connections_.back();
}

Connection& Load::take_connection() {
  if (idle_.empty()) return new_connection();
  Connection& connection = *idle_.back();
  idle_.pop_back();
  return connection;
}

// A later turn is due when the answer to the one before it is whole.
asio::awaitable<void> Load::converse(Connection& connection, const Conversation& conversation,
                                     TimePoint due) {
  Dialogue dialogue(target_);
  for (size_t i = 0; i < conversation.turns.size(); ++i) {
    Outcome& outcome = record(conversation, i, due);
    const bool last = i + 1 == conversation.turns.size();
    const Failure failure =
        co_await ask(connection, dialogue, conversation.turns[i], outcome, !last);
    due = now();
    if (failure != Failure::none) {
      never_sent(conversation, i + 1, due, Failure::skipped, "an earlier turn failed");
      co_return;
    }
  }
}

asio::awaitable<Failure> Load::ask(Connection& connection, Dialogue& dialogue, const Turn& turn,
                                   Outcome& outcome, bool keep_text) {
  dialogue.say(turn.text);
  const HttpRequest request{.method = "POST",
                            .path = dialogue.path(),
                            .body = dialogue.body(turn.output_tokens),
                            .api_key = target_.api_key};
  AnswerReader reader(outcome, keep_text);
  const BodySink sink = [&reader](int status, std::string_view piece) {
    return reader.take(status, piece, now());
  };
  const auto on_sending = [&outcome] { outcome.sent = now(); };
  const HttpEnd end = co_await connection.exchange(request, sink, on_sending, options_.timeout);
  if (end.failure == Failure::none) {
    outcome.status = end.status;
    reader.finish(now());
  } else {
    outcome.end = now();
    if (outcome.failure == Failure::none) {  // else the reader knew more
      outcome.failure = end.failure;
      outcome.message = end.message.substr(0, kMaxMessageBytes);
    }
  }
  dialogue.hear(reader.text());
  co_return outcome.failure;
}

Outcome& Load::record(const Conversation& conversation, size_t turn, TimePoint due) {
  outcomes_.push_back(std::make_unique<Outcome>());
  Outcome& outcome = *outcomes_.back();
  outcome.turn = static_cast<int>(turn);
  outcome.asked_tokens = conversation.turns[turn].output_tokens;
  outcome.due = outcome.end = due;
  return outcome;
}

void Load::never_sent(const Conversation& conversation, size_t from, TimePoint due, Failure failure,
                      const std::string& message) {
  for (size_t i = from; i < conversation.turns.size(); ++i) {
    Outcome& outcome = record(conversation, i, due);
    outcome.failure = failure;
    outcome.message = message;
  }
}

}  // namespace

StatusOr<LoadResult> run_load(const Target& target, const Phase& phase,
                              const LoadOptions& options) {
  return Load(target, phase, options).run();
}

}  // namespace bessemer::bench
