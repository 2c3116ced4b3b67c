#include "tests/bench/scripted_server.h"

#include <cstdlib>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bessemer::bench {
namespace {

// A whole request, or "" at the end of the connection.
std::string read_request(int socket, std::string& buffer) {
  while (true) {
    const size_t head = buffer.find("\r\n\r\n");
    if (head != std::string::npos) {
      const size_t field = buffer.find("Content-Length: ");
      const size_t length =
          field < head ? std::strtoul(buffer.c_str() + field + 16, nullptr, 10) : 0;
      const size_t total = head + 4 + length;
      if (buffer.size() >= total) {
        std::string request = buffer.substr(0, total);
        buffer.erase(0, total);
        return request;
      }
    }
    char bytes[4096];
    const ssize_t count = recv(socket, bytes, sizeof bytes, 0);
    if (count <= 0) return "";
    buffer.append(bytes, static_cast<size_t>(count));
  }
}

}  // namespace

ScriptedServer::ScriptedServer(Script answer) : answer_(std::move(answer)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    std::abort();
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) close(socket);
  close(listener_);
}

void ScriptedServer::accept_all() {
  while (true) {
    const int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) return;
    ++connections_;
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void ScriptedServer::serve(int socket) {
  std::string buffer;
  for (std::string request = read_request(socket, buffer); !request.empty();
       request = read_request(socket, buffer)) {
    const ScriptedAnswer answer = answer_(request);
    for (const std::string& piece : answer.pieces) {
      usleep(static_cast<useconds_t>(answer.pause_ms) * 1000);
      if (send(socket, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
    }
    if (answer.close) {
      shutdown(socket, SHUT_RDWR);
      return;
    }
  }
}

std::string http_chunk(const std::string& bytes) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}

ScriptedAnswer event_stream(const std::vector<std::string>& events) {
  ScriptedAnswer answer;
  answer.pieces.push_back(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const std::string& event : events)
    answer.pieces.push_back(http_chunk("data: " + event + "\n\n"));
  answer.pieces.push_back("0\r\n\r\n");
  return answer;
}

std::string text_event(const std::string& text) {
  return R"({"choices":[{"index":0,"text":")" + text + R"("}]})";
}

std::string usage_event(int prompt_tokens, int output_tokens) {
  return R"({"choices":[],"usage":{"prompt_tokens":)" + std::to_string(prompt_tokens) +
         R"(,"completion_tokens":)" + std::to_string(output_tokens) + "}}";
}

}  // namespace bessemer::bench
