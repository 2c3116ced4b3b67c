#include "bench/router_overhead/load_client.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/mock_worker/mock_model.h"

namespace bessemer::bench {
namespace {

using Clock = std::chrono::steady_clock;

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

constexpr std::string_view kText = "\"text\":\"";
constexpr std::string_view kDone = "data: [DONE]";
constexpr std::string_view kError = "\"error\"";

std::string make_request(const StreamLoad& options) {
  const std::string body = fmt::format(
      R"({{"model":"mock","prompt":"hello","stream":{},"ignore_eos":true,"max_tokens":{}}})",
      !options.whole, options.max_tokens);
  return "POST /v1/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: "
         "application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Stream {
  int socket = -1;
  std::string kept;  // an unfinished line, or the beginning of a whole answer
};

// How long the JSON object is that begins at `begin`; 0: it has no end yet. Its strings have no
// braces.
size_t object_length(std::string_view text, size_t begin) {
  int depth = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at + 1 - begin;
  }
  return 0;
}

class Load {
 public:
  explicit Load(const StreamLoad& options) : options_(options), request_(make_request(options)) {}
  ~Load() {
    for (const auto& stream : streams_) close(stream.socket);
    close(epoll_);
  }
  StreamLoadResult run(const std::function<void()>& on_measure);

 private:
  void open_stream(size_t index);
  void ask(const Stream& stream) const;
  bool read_stream(Stream& stream);
  void take_whole(Stream& stream);
  void take_line(Stream& stream, std::string_view line, int64_t now);
  void poll_once(int timeout_ms);

  const StreamLoad options_;
  const std::string request_;
  int epoll_ = epoll_create1(0);
  std::vector<Stream> streams_;
  StreamLoadResult result_;
  bool measuring_ = false;
};

void Load::open_stream(size_t index) {
  Stream& stream = streams_[index];
  stream.socket = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (connect(stream.socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::perror("connect");
    std::exit(1);
  }
  const int on = 1;
  setsockopt(stream.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = index;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.socket, &event);
  ask(stream);
}

void Load::ask(const Stream& stream) const {
  if (send(stream.socket, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) std::perror("send");
}

// False: the connection has ended.
bool Load::read_stream(Stream& stream) {
  char bytes[64 * 1024];
  const ssize_t count = recv(stream.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  const int64_t now = now_us();
  if (count <= 0) return count < 0;
  if (measuring_) result_.sends++;
  stream.kept.append(bytes, static_cast<size_t>(count));
  if (options_.whole) {
    take_whole(stream);
    return true;
  }
  size_t begin = 0;
  for (size_t end; (end = stream.kept.find('\n', begin)) != std::string::npos; begin = end + 1) {
    take_line(stream, std::string_view(stream.kept).substr(begin, end - begin), now);
  }
  stream.kept.erase(0, begin);
  return true;
}

// Of an answer only the body has braces, whatever frames it.
void Load::take_whole(Stream& stream) {
  const size_t begin = stream.kept.find('{');
  if (begin == std::string::npos) return;
  const size_t length = object_length(stream.kept, begin);
  if (length == 0) return;
  const auto body = std::string_view(stream.kept).substr(begin, length);
  const bool failed = body.find(kText) == std::string_view::npos;
  if (failed) result_.errors++;
  if (measuring_ && !failed) {
    result_.requests++;
    result_.tokens += options_.max_tokens;
  }
  stream.kept.clear();
  if (options_.repeat) ask(stream);
}

// A frame's text is "12345,12399,": emission times, modulo the mock's window.
void Load::take_line(Stream& stream, std::string_view line, int64_t now) {
  if (line.starts_with(kDone)) {
    if (measuring_) result_.requests++;
    if (options_.repeat) ask(stream);
    return;
  }
  if (line.find(kError) != std::string_view::npos) result_.errors++;
  size_t at = line.find(kText);
  if (at == std::string_view::npos) return;
  int64_t number = 0;
  for (at += kText.size(); at < line.size() && line[at] != '"'; at++) {
    if (line[at] != ',') {
      number = number * 10 + (line[at] - '0');
      continue;
    }
    if (measuring_) {
      result_.tokens++;
      const int64_t age = (now - number % kTimedWindowUs + kTimedWindowUs) % kTimedWindowUs;
      result_.added.add(static_cast<double>(age));
    }
    number = 0;
  }
}

void Load::poll_once(int timeout_ms) {
  epoll_event events[256];
  const int count = epoll_wait(epoll_, events, 256, timeout_ms);
  for (int i = 0; i < count; i++) {
    Stream& stream = streams_[events[i].data.u64];
    if (read_stream(stream)) continue;
    result_.errors++;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.socket, nullptr);
  }
}

StreamLoadResult Load::run(const std::function<void()>& on_measure) {
  streams_.resize(static_cast<size_t>(options_.streams));
  for (size_t i = 0; i < streams_.size(); i++) open_stream(i);
  const auto begin = Clock::now();
  const auto run_for = [&](Clock::time_point from, double seconds) {
    while (std::chrono::duration<double>(Clock::now() - from).count() < seconds) poll_once(50);
  };
  run_for(begin, options_.warm_up_s);
  measuring_ = true;
  on_measure();
  const auto measured_from = Clock::now();
  run_for(measured_from, options_.measure_s);
  result_.seconds = std::chrono::duration<double>(Clock::now() - measured_from).count();
  return std::move(result_);
}

}  // namespace

StreamLoadResult run_load(const StreamLoad& options, const std::function<void()>& on_measure) {
  return Load(options).run(on_measure);
}

}  // namespace bessemer::bench
