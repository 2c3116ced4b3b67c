#include "tests/router/http_client.h"

#include <algorithm>
#include <cctype>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bessemer {

HttpClient::HttpClient(uint16_t port, std::chrono::milliseconds timeout, int receive_buffer) {
  socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer > 0) {  // before the connection: it bounds the window
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close();
    return;
  }
  const timeval limit{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

HttpClient::~HttpClient() {
  close();
}

void HttpClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void HttpClient::half_close() {
  ::shutdown(socket_, SHUT_WR);
}

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

std::string HttpClient::read_some() {
  char bytes[16 * 1024];
  const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
  return count <= 0 ? "" : std::string(bytes, static_cast<size_t>(count));
}

std::string HttpClient::read_all() {
  std::string all = std::move(buffer_);
  buffer_.clear();
  for (std::string some = read_some(); !some.empty(); some = read_some()) all += some;
  return all;
}

bool HttpClient::peer_closed() {
  char byte;
  while (true) {
    const ssize_t count = ::recv(socket_, &byte, 1, 0);
    if (count == 0) return true;
    if (count < 0) return errno == ECONNRESET;
  }
}

bool HttpClient::fill() {
  const std::string some = read_some();
  buffer_ += some;
  return !some.empty();
}

std::string HttpClient::take_line() {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill()) return "";
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

ClientResponse HttpClient::read_head() {
  ClientResponse response;
  const std::string status = take_line();
  if (status.size() < 12) return response;
  response.status = std::stoi(status.substr(9, 3));
  for (std::string line = take_line(); !line.empty(); line = take_line()) {
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    response.headers[name] = line.substr(colon + 2);
  }
  return response;
}

bool HttpClient::next_chunk() {
  const std::string size_line = take_line();
  if (size_line.empty()) return false;
  const size_t size = std::stoul(size_line, nullptr, 16);
  while (buffer_.size() < size + 2) {
    if (!fill()) return false;
  }
  stream_.append(buffer_, 0, size);
  buffer_.erase(0, size + 2);
  ended_ = size == 0;
  return size > 0;
}

ClientResponse HttpClient::read_response(bool head_only) {
  ClientResponse response = read_head();
  if (response.status == 0) return response;
  response.complete = true;
  if (head_only || response.status == 204) return response;
  if (response.headers.contains("content-length")) {
    const size_t length = std::stoul(response.headers["content-length"]);
    while (buffer_.size() < length && fill()) {
    }
    response.complete = buffer_.size() >= length;
    response.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
  } else if (response.headers.contains("transfer-encoding")) {
    ended_ = false;
    while (next_chunk()) {
    }
    response.complete = ended_;
    response.body = std::move(stream_);
    stream_.clear();
  } else {
    response.body = read_all();
  }
  return response;
}

std::string HttpClient::read_event() {
  while (true) {
    const size_t end = stream_.find("\n\n");
    if (end == std::string::npos) {
      if (!next_chunk()) return "";
      continue;
    }
    std::string event = stream_.substr(0, end);
    stream_.erase(0, end + 2);
    if (event.starts_with(":")) {
      pings_++;
    } else if (event.starts_with("data: ")) {
      return event.substr(6);
    }
  }
}

std::string get_request(std::string_view path, std::string_view headers) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n";
}

std::string post_request(std::string_view path, std::string_view body, std::string_view headers) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

ClientResponse http_get(uint16_t port, std::string_view path, std::string_view headers) {
  HttpClient client(port);
  client.send(get_request(path, headers));
  return client.read_response();
}

ClientResponse http_post(uint16_t port, std::string_view path, std::string_view body,
                         std::string_view headers) {
  HttpClient client(port);
  client.send(post_request(path, body, headers));
  return client.read_response();
}

}  // namespace bessemer
