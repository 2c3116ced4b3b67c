// A blocking HTTP/1.1 client for tests that look at single bytes: no library between the test and
// the wire.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

struct ClientResponse {
  int status = 0;                              // 0: the connection ended before a whole answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks put together
  bool complete = false;                       // the body ended as its framing says
};

class HttpClient {
 public:
  // `receive_buffer`: of the socket, in bytes; 0: the system's.
  explicit HttpClient(uint16_t port, std::chrono::milliseconds timeout = std::chrono::seconds(10),
                      int receive_buffer = 0);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;

  bool connected() const { return socket_ >= 0; }
  void send(std::string_view bytes);
  // What one read brings; "" at the end of the stream, on a time-out or on an error.
  std::string read_some();
  // Until the peer closes or the time is over.
  std::string read_all();
  ClientResponse read_response(bool head_only = false);
  // Status line and headers only; the body's frames follow through read_event().
  ClientResponse read_head();
  // The next "data: ..." of an event stream without the prefix; "" at the end. Comments are counted
  // in pings().
  std::string read_event();
  int pings() const { return pings_; }
  void half_close();
  void close();
  bool peer_closed();  // waits for it, up to the time-out

 private:
  bool fill();
  bool next_chunk();
  std::string take_line();
  int socket_ = -1;
  std::string buffer_, stream_;
  int pings_ = 0;
  bool ended_ = false;
};

std::string get_request(std::string_view path, std::string_view headers = "");
std::string post_request(std::string_view path, std::string_view body,
                         std::string_view headers = "");

// One request on a connection of its own.
ClientResponse http_get(uint16_t port, std::string_view path, std::string_view headers = "");
ClientResponse http_post(uint16_t port, std::string_view path, std::string_view body,
                         std::string_view headers = "");

}  // namespace bessemer
