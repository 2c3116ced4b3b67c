#include "tests/telemetry/collector.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bessemer {

FakeCollector::FakeCollector(Script script, int port) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  socklen_t size = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FakeCollector::~FakeCollector() {
  stopping_ = true;
  thread_.join();
  close(listener_);
}

std::vector<std::string> FakeCollector::heads() const {
  std::lock_guard lock(mutex_);
  return heads_;
}

std::vector<std::string> FakeCollector::bodies() const {
  std::lock_guard lock(mutex_);
  return bodies_;
}

void FakeCollector::serve() {
  while (!stopping_) {
    pollfd wait{listener_, POLLIN, 0};
    if (poll(&wait, 1, 10) <= 0) continue;
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    answer(socket);
    close(socket);
  }
}

void FakeCollector::answer(int socket) {
  std::string text;
  size_t head_end = std::string::npos, length = 0;
  while (head_end == std::string::npos || text.size() < head_end + length) {
    char piece[16384];
    const ssize_t count = read(socket, piece, sizeof piece);
    if (count <= 0) return;
    text.append(piece, static_cast<size_t>(count));
    if (head_end != std::string::npos || text.find("\r\n\r\n") == std::string::npos) continue;
    head_end = text.find("\r\n\r\n") + 4;
    const size_t at = text.find("Content-Length: ");
    length = at == std::string::npos ? 0 : std::stoul(text.substr(at + 16));
  }
  size_t nth = 0;
  {
    std::lock_guard lock(mutex_);
    nth = bodies_.size();
    heads_.push_back(text.substr(0, head_end));
    bodies_.push_back(text.substr(head_end));
  }
  const std::string reply = script_(nth);
  EXPECT_EQ(send(socket, reply.data(), reply.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(reply.size()));
}

std::string collector_answer(int status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace bessemer
