// One request and its answer, as an endpoint holds them. Everything here happens on the thread of
// the request's core.
//
// Invariants
//   X1  respond(), or begin_stream() ... end(), exactly once; a dropped exchange without an answer
//       becomes a 500.
//   X2  After on_abort has fired with `disconnected`, writes are accepted and dropped.
//   X3  What waits for a slow client is bounded: a stream beyond HttpLimits::max_output_bytes is
//       disconnected, an answer beyond max_answer_bytes becomes a 400, one for which
//       max_answer_total_bytes has no room a 503.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "router/http/message.h"

namespace bessemer {

enum class Abort : uint8_t {
  disconnected,  // the client hung up, or was too slow: nobody listens any more
  deadline,      // the time set with set_deadline is over: answer now
  shutdown,      // the grace of a shutdown is over: answer now
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual HttpRequest& request() = 0;
  virtual size_t core() const = 0;  // index of the core that owns it

  // A header for whichever answer is given; before respond() or begin_stream().
  virtual void add_header(std::string name, std::string value) = 0;
  virtual void respond(HttpResponse response) = 0;

  virtual void begin_stream(StreamHead head) = 0;
  // Queues frames; they leave at flush(), as one chunk. True while the client keeps up: nothing is
  // left unsent.
  virtual void write(std::string_view frames) = 0;
  virtual bool flush() = 0;
  // `trailers`: what is only known now, for fronts that have them (gRPC's status); others drop them.
  virtual void end(HeaderList trailers) = 0;
  // False while earlier frames have not left: the caller had better merge new ones until
  // on_writable.
  virtual bool writable() const = 0;

  virtual bool streaming() const = 0;  // begin_stream has been called
  virtual void on_writable(std::function<void()> callback) = 0;
  virtual void on_abort(std::function<void(Abort)> callback) = 0;
  virtual void set_deadline(TimePoint deadline) = 0;
};
using ExchangePtr = std::shared_ptr<Exchange>;

// Called on the core's thread once the whole body is there.
using RequestHandler = std::function<void(ExchangePtr)>;
// Counts an error of the HTTP layer itself (400, 408, 413, 417, 431, 500, 501, 503) and turns it
// into the API's shape. On the thread of the core with that index, or with kAcceptor on the
// acceptor's, which has read no request.
using ErrorRenderer =
    std::function<HttpResponse(size_t core, int status, std::string_view message)>;
constexpr size_t kAcceptor = SIZE_MAX;

}  // namespace bessemer
