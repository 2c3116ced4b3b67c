// One client's socket: reads requests, hands each to the handler, writes the answers. Only on its
// core's thread.
//
// Input and output are non-blocking calls with a readiness wait beside them, so that an idle
// connection owns no buffer and a frame costs one send.
//
// Invariants
//   C1  At most one request is being answered; what the client sends meanwhile is kept up to
//       read_ahead_bytes, after which only the hang-up is watched. A half-closed client has hung
//       up.
//   C2  The next request starts once the answer before it has left.
//   C3  Every state has a time-out (sweep); a TLS handshake has that of a request's head.
//   C4  A request is live from its first byte until its answer has left, and on a connection that
//       ends with it until the client has closed too, or had the time to (linger). A drain waits
//       for live requests.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "router/http/asio_core.h"
#include "router/http/byte_stream.h"
#include "router/http/exchange.h"
#include "router/http/request_parser.h"

namespace bessemer {

class ConnectionExchange;

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(AsioCore& core, ByteStream stream);
  ~Connection();

  void start();
  void close();
  void close_if_idle();
  void abort_request(Abort reason);
  void sweep(TimePoint now);

  // For the exchange.
  void send_response(HttpRequest& request, HttpResponse response);
  void send_stream_head(HttpRequest& request, StreamHead head);
  void send_frames(std::string_view frames);
  void finish_stream();
  bool drained() const { return sent_ == output_.size(); }
  AsioCore& core() { return core_; }

 private:
  enum class Phase : uint8_t { reading, answering, lingering, closed };

  void arm_read();
  void on_readable(const boost::system::error_code& error);
  size_t read_room() const;
  void process(std::string_view input);
  bool step(std::string_view& input);
  void dispatch();
  bool reserve_body();
  void refuse(int status, std::string_view message);
  void received(std::string_view fresh);
  void peer_gone();

  void push_output();
  void arm_write();
  void next_request();
  void finish_exchange();
  void set_live(bool live);
  void name_request(HttpRequest& request);
  void bound_answer(HttpResponse& response);
  void linger();
  void sweep_reading(TimePoint now);
  void sweep_answering(TimePoint now);
  bool half_closed() const;
  HeadOptions head_options(const HttpRequest& request);

  AsioCore& core_;
  ByteStream stream_;
  const HttpLimits& limits_;
  RequestParser parser_;
  BodyLease body_lease_;    // of the request that is being read
  BodyLease output_lease_;  // of the whole answer in output_
  std::string input_;       // unparsed bytes; empty most of the time
  std::string output_;      // unsent bytes start at sent_
  size_t sent_ = 0;
  std::weak_ptr<ConnectionExchange> exchange_;
  Phase phase_ = Phase::reading;
  bool reading_armed_ = false, writing_armed_ = false, processing_ = false;
  bool keep_alive_ = true, chunked_ = false, comments_ = false, streaming_ = false,
       head_only_ = false;
  bool live_ = false;      // C4
  bool answered_ = false;  // the whole answer is in output_
  TimePoint since_;        // of the state that the time-outs measure
  TimePoint last_output_;  // a byte left, or the output became empty
};

}  // namespace bessemer
