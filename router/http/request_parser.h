// Bytes -> HttpRequest, incrementally; the grammar is Beast's.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "router/http/limits.h"
#include "router/http/message.h"

namespace bessemer {

class RequestParser {
 public:
  enum class State : uint8_t { need_more, expects_continue, complete, failed };

  explicit RequestParser(const HttpLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // Consumes a prefix of `input`, `consumed` bytes. After expects_continue (once, when the client
  // waits for "100 Continue") go on with the rest. After complete or failed call nothing but the
  // accessors.
  State feed(std::string_view input, size_t& consumed);

  bool started() const;  // a byte of the request has been consumed or seen
  bool header_done() const;
  size_t body_bytes() const;  // announced, or so far where chunked; valid when header_done()
  // What is known so far of all but the body, in any state: a request that fails has a name too.
  HttpRequest head() const;
  // After complete; method, path, query, headers, body, keep_alive, chunked_answers.
  HttpRequest take();

  // After failed: the status to answer with (400, 413, 417, 431, 501) and why.
  int error_status() const;
  const std::string& error_message() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bessemer
