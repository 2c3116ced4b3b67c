// The Exchange of a connection's current request.
#pragma once
#include <memory>
#include <string>

#include "router/http/connection.h"
#include "router/http/exchange.h"

namespace bessemer {

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, HttpRequest request);
  ~ConnectionExchange() override;

  HttpRequest& request() override { return request_; }
  size_t core() const override { return core_; }
  void add_header(std::string name, std::string value) override;
  void respond(HttpResponse response) override;
  void begin_stream(StreamHead head) override;
  void write(std::string_view frames) override { staged_.append(frames); }
  bool flush() override;
  void end(HeaderList trailers) override;
  bool writable() const override;
  bool streaming() const override { return streaming_; }
  void on_writable(std::function<void()> callback) override { on_writable_ = std::move(callback); }
  void on_abort(std::function<void(Abort)> callback) override { on_abort_ = std::move(callback); }
  void set_deadline(TimePoint deadline) override { deadline_ = deadline; }

  // From the connection.
  void abort(Abort reason);
  void became_writable();
  TimePoint deadline() const { return deadline_; }

 private:
  std::shared_ptr<Connection> detach();

  std::shared_ptr<Connection> connection_;  // null once answered or hung up
  HttpRequest request_;
  const size_t core_;
  HeaderList extra_headers_;
  std::string staged_;
  bool streaming_ = false;
  TimePoint deadline_ = TimePoint::max();
  std::function<void()> on_writable_;
  std::function<void(Abort)> on_abort_;
};

}  // namespace bessemer
