#include "tests/failover/tcp_proxy.h"

#include <array>
#include <deque>
#include <list>
#include <thread>
#include <vector>

#include <boost/asio.hpp>

#include "common/clock.h"

namespace bessemer::failover {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kPieceBytes = 64 << 10;
constexpr size_t kMostHeldBytes = 4 << 20;  // of one direction; then the sender waits, as on a wire
constexpr auto kLook = std::chrono::milliseconds(5);

TimePoint now() {
  return std::chrono::steady_clock::now();
}

// What the wire does at the moment.
struct WireState {
  std::atomic<bool> black_hole{false};
  std::atomic<int32_t> lag_ms{0};
};

class Link;

// One direction of one connection: reads, holds, writes.
class Direction {
 public:
  Direction(Link& link, tcp::socket& from, tcp::socket& to) : link_(link), from_(from), to_(to) {}
  void read();
  void pump();  // writes what is due; from time to time, too

 private:
  struct Held {
    std::vector<char> bytes;
    TimePoint due;
  };
  Link& link_;
  tcp::socket& from_;
  tcp::socket& to_;
  std::array<char, kPieceBytes> piece_;
  std::deque<Held> held_;
  size_t held_bytes_ = 0;
  bool reading_ = false, writing_ = false, ended_ = false;
};

// One connection through the proxy. Alive as long as an operation of it is.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(asio::io_context& io, tcp::socket client, const WireState& wire_state)
      : wire(wire_state), client_(std::move(client)), server_(io) {}

  void begin(const tcp::endpoint& server) {
    server_.async_connect(server, [self = shared_from_this()](error_code error) {
      if (error) return self->reset();
      error_code ignored;
      self->client_.set_option(tcp::no_delay(true), ignored);
      self->server_.set_option(tcp::no_delay(true), ignored);
      self->connected_ = true;
      self->up_.read();
      self->down_.read();
    });
  }
  void tick() {
    if (!connected_ || closed_) return;
    up_.pump();
    down_.pump();
  }
  // With a reset rather than an orderly end.
  void reset() {
    if (std::exchange(closed_, true)) return;
    error_code ignored;
    for (tcp::socket* socket : {&client_, &server_}) {
      socket->set_option(asio::socket_base::linger(true, 0), ignored);
      socket->close(ignored);
    }
  }
  bool closed() const { return closed_; }

  const WireState& wire;

 private:
  tcp::socket client_, server_;
  Direction up_{*this, client_, server_}, down_{*this, server_, client_};
  bool connected_ = false, closed_ = false;
};

void Direction::read() {
  if (reading_ || ended_ || link_.closed() || held_bytes_ >= kMostHeldBytes) return;
  reading_ = true;
  from_.async_read_some(asio::buffer(piece_), [this, self = link_.shared_from_this()](
                                                  error_code error, size_t count) {
    reading_ = false;
    ended_ = static_cast<bool>(error);
    if (!error) {
      const TimePoint due = now() + std::chrono::milliseconds(link_.wire.lag_ms);
      held_.push_back({{piece_.begin(), piece_.begin() + static_cast<std::ptrdiff_t>(count)}, due});
      held_bytes_ += count;
    }
    pump();
  });
}

void Direction::pump() {
  read();
  if (writing_ || link_.closed() || link_.wire.black_hole) return;
  if (held_.empty()) {
    if (ended_) link_.reset();  // all that came has passed
    return;
  }
  if (held_.front().due > now()) return;
  writing_ = true;
  asio::async_write(to_, asio::buffer(held_.front().bytes),
                    [this, self = link_.shared_from_this()](error_code error, size_t) {
                      writing_ = false;
                      if (error) return link_.reset();
                      held_bytes_ -= held_.front().bytes.size();
                      held_.pop_front();
                      pump();
                    });
}

class ProxyImpl final : public TcpProxy {
 public:
  explicit ProxyImpl(uint16_t port) : server_(asio::ip::address_v4::loopback(), port) {}
  ~ProxyImpl() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status listen() {
    error_code error;
    const tcp::endpoint any(asio::ip::address_v4::loopback(), 0);
    acceptor_.open(any.protocol(), error);
    if (!error) acceptor_.bind(any, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return absl::UnavailableError("the proxy cannot listen: " + error.message());
    port_ = acceptor_.local_endpoint().port();
    accept();
    tick();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  uint16_t port() const override { return port_; }
  void set_black_hole(bool on) override { wire_.black_hole = on; }
  void set_lag_ms(int32_t ms) override { wire_.lag_ms = ms; }
  void cut() override {
    asio::post(io_, [this] {
      for (const auto& link : links_) link->reset();
      links_.clear();
    });
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket client) {
      if (!error) {
        links_.push_back(std::make_shared<Link>(io_, std::move(client), wire_));
        links_.back()->begin(server_);
      }
      if (acceptor_.is_open()) accept();
    });
  }
  void tick() {
    timer_.expires_after(kLook);
    timer_.async_wait([this](error_code error) {
      if (error) return;
      std::erase_if(links_, [](const auto& link) { return link->closed(); });
      for (const auto& link : links_) link->tick();
      tick();
    });
  }

  const tcp::endpoint server_;
  WireState wire_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer timer_{io_};
  std::list<std::shared_ptr<Link>> links_;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace

StatusOr<std::unique_ptr<TcpProxy>> TcpProxy::start(uint16_t port) {
  auto proxy = std::make_unique<ProxyImpl>(port);
  RETURN_IF_ERROR(proxy->listen());
  return std::unique_ptr<TcpProxy>(std::move(proxy));
}

}  // namespace bessemer::failover
