#include "tests/failover/tcp_proxy.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <boost/asio.hpp>
#include <gtest/gtest.h>

namespace bessemer::failover {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using MonotonicClock = std::chrono::steady_clock;

// Says back what it hears, to one client after another.
class Echo {
 public:
  Echo() : thread_([this] { run(); }) {}
  ~Echo() {
    error_code ignored;
    tcp::socket last(io_);
    stopping_ = true;
    last.connect(acceptor_.local_endpoint(), ignored);
    thread_.join();
  }
  uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void run() {
    while (!stopping_) {
      error_code error;
      tcp::socket client(io_);
      acceptor_.accept(client, error);
      char bytes[1024];
      while (!error && !stopping_) {
        const size_t count = client.read_some(asio::buffer(bytes), error);
        if (!error) asio::write(client, asio::buffer(bytes, count), error);
      }
    }
  }
  asio::io_context io_;
  tcp::acceptor acceptor_{io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

class TcpProxyTest : public ::testing::Test {
 protected:
  TcpProxyTest() {
    auto proxy = TcpProxy::start(echo_.port());
    EXPECT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = *std::move(proxy);
    socket_.connect(tcp::endpoint(asio::ip::address_v4::loopback(), proxy_->port()));
  }
  ~TcpProxyTest() override {
    error_code ignored;
    socket_.close(ignored);
    proxy_.reset();
  }
  void say(const std::string& text) { asio::write(socket_, asio::buffer(text)); }
  // Reads `count` bytes; how long that took.
  milliseconds hear(size_t count, const std::string& expected) {
    const auto begin = MonotonicClock::now();
    std::string text(count, '?');
    asio::read(socket_, asio::buffer(text));
    EXPECT_EQ(text, expected);
    return std::chrono::duration_cast<milliseconds>(MonotonicClock::now() - begin);
  }

  Echo echo_;
  std::unique_ptr<TcpProxy> proxy_;
  asio::io_context io_;
  tcp::socket socket_{io_};
};

TEST_F(TcpProxyTest, BytesPass) {
  for (int i = 0; i < 20; i++) {
    say("hello");
    hear(5, "hello");
  }
}

TEST_F(TcpProxyTest, LaggingBytesComeLater) {
  proxy_->set_lag_ms(50);
  say("late");
  EXPECT_GE(hear(4, "late").count(), 95);  // there and back
}

TEST_F(TcpProxyTest, ABlackHoleHoldsAndLaterLetsGo) {
  proxy_->set_black_hole(true);
  say("held");
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(socket_.available(), 0u);
  proxy_->set_black_hole(false);
  hear(4, "held");
}

TEST_F(TcpProxyTest, ACutIsAReset) {
  say("x");
  hear(1, "x");
  proxy_->cut();
  char byte;
  error_code error;
  asio::read(socket_, asio::buffer(&byte, 1), error);
  EXPECT_EQ(error, asio::error::connection_reset);
}

}  // namespace
}  // namespace bessemer::failover
