// The Exchange of a gRPC call.
#pragma once
#include <memory>
#include <string>

#include "router/http/exchange.h"
#include "router/rpc/call.h"

namespace bessemer {

class RpcExchange final : public Exchange {
 public:
  RpcExchange(std::shared_ptr<RpcCall> call, HttpRequest request);
  ~RpcExchange() override;

  HttpRequest& request() override { return request_; }
  size_t core() const override { return core_; }
  void add_header(std::string name, std::string value) override;
  // An error's headers grpc-status, grpc-message and grpc-status-details-bin are its status; the
  // others are trailing metadata.
  void respond(HttpResponse response) override;
  void begin_stream(StreamHead head) override;
  void write(std::string_view frames) override { staged_.append(frames); }
  bool flush() override;
  void end(HeaderList trailers) override;
  bool writable() const override { return call_ == nullptr || call_->drained(); }
  bool streaming() const override { return streaming_; }
  void on_writable(std::function<void()> callback) override { on_writable_ = std::move(callback); }
  void on_abort(std::function<void(Abort)> callback) override { on_abort_ = std::move(callback); }
  void set_deadline(TimePoint deadline) override { deadline_ = deadline; }

  // From the call.
  void abort(Abort reason);
  void became_writable();
  TimePoint deadline() const { return deadline_; }

 private:
  std::shared_ptr<RpcCall> detach();

  std::shared_ptr<RpcCall> call_;  // null once answered or hung up
  HttpRequest request_;
  const size_t core_;
  std::string staged_;
  bool streaming_ = false;
  TimePoint deadline_ = TimePoint::max();
  std::function<void()> on_writable_;
  std::function<void(Abort)> on_abort_;
};

}  // namespace bessemer
