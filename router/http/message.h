// A parsed request and an answer, as endpoints see them: values, nothing of the HTTP library.
#pragma once
#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/random.h"

namespace bessemer {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A share of the byte budget that all bodies of requests, or all answers, of a process have
// together; given back when it dies.
class BodyLease {
 public:
  BodyLease() = default;
  BodyLease(BodyLease&& other) noexcept
      : used_(std::exchange(other.used_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  BodyLease& operator=(BodyLease&& other) noexcept {
    std::swap(used_, other.used_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BodyLease() {
    if (used_ != nullptr) used_->fetch_sub(bytes_, std::memory_order_relaxed);
  }
  // Grows the share to `bytes`; false when the budget has no room: the share is then as it was.
  bool grow(std::atomic<size_t>& used, size_t bytes, size_t budget) {
    if (bytes <= bytes_) return true;
    const size_t more = bytes - bytes_;
    if (used.fetch_add(more, std::memory_order_relaxed) + more > budget) {
      used.fetch_sub(more, std::memory_order_relaxed);
      return false;
    }
    used_ = &used;
    bytes_ = bytes;
    return true;
  }

 private:
  std::atomic<size_t>* used_ = nullptr;
  size_t bytes_ = 0;
};

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // decoded only as far as routing needs: no query, no fragment
  std::string query;   // behind '?', undecoded
  HeaderList headers;  // names in lower case, in the order they came
  std::string body;
  BodyLease body_lease;  // goes where the body goes
  std::string id;        // x-request-id: the client's when well formed, else ours
  bool keep_alive = true;
  bool chunked_answers = true;  // false: HTTP/1.0, where a stream ends with the connection
  TimePoint received{};
  TimePoint deadline = TimePoint::max();  // the client's own; HTTP has no word for it

  // First header of that (lower case) name, or nullptr.
  const std::string* header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return &value;
    }
    return nullptr;
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HeaderList headers;  // besides content-type, content-length, date, connection and x-request-id
};

// The head of a streamed answer; frames follow.
struct StreamHead {
  int status = 200;
  std::string content_type = "text/event-stream; charset=utf-8";
  HeaderList headers;
  bool comments = true;  // server-sent events: ": ping" lines keep an idle stream alive
};

// "Not Found" for 404; "Unknown" for a number that is not registered.
std::string_view reason_phrase(int status);

// Names that a client may choose for its request: 1 to 128 of [A-Za-z0-9._-], so that it is safe in
// logs and headers.
bool well_formed_request_id(std::string_view id);
// "req-" and 24 random hexadecimal digits.
std::string new_request_id(Random& random);

struct HeadOptions {
  std::string_view request_id, date;
  bool keep_alive = true;
  bool chunked = false;
  long content_length = -1;  // -1: none (chunked, or until the connection closes)
};
// Status line and headers with the empty line behind them.
std::string render_head(int status, std::string_view content_type, const HeaderList& headers,
                        const HeadOptions& options);

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::string http_date(int64_t unix_seconds);

// Appends `data` as one HTTP/1.1 chunk; empty data appends nothing (it would end the body).
void append_chunk(std::string& out, std::string_view data);
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace bessemer
