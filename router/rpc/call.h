// One gRPC call, between gRPC's threads and the core that serves it. gRPC's hooks only post; all
// else happens on the core.
//
// Invariants
//   K1  One write at a time. What comes meanwhile is put together into messages of about
//       kMessageBytes; beyond HttpLimits::max_output_bytes, or without progress for write_timeout,
//       the call is cancelled.
//   K2  Exactly one finish, behind the last write; a cancelled call is finished at once.
//   K3  It lives until gRPC has let go of it (OnDone), which gRPC does behind the finish and never
//       before: until then its context may be used.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include <grpcpp/grpcpp.h>

#include "common/random.h"
#include "router/http/core.h"
#include "router/http/exchange.h"
#include "router/http/limits.h"

namespace bessemer {

class RpcCall;
class RpcExchange;

// A quarter of the 4 MiB that gRPC's clients take by default.
constexpr size_t kMessageBytes = size_t{1} << 20;

// What all calls of a server share.
struct RpcShared {
  HttpLimits limits;
  RequestHandler handle;
  ErrorRenderer render_error;
  std::atomic<size_t> body_bytes{0};  // of all requests
  std::atomic<size_t> calls{0};       // from their arrival until gRPC has let go of them
};

// The calls of one core; only on its thread, but for `core` itself.
struct RpcCore {
  RpcCore(Core& served_by, RpcShared& of_all)
      : core(served_by), shared(of_all), random(random_seed()) {}
  void arm_sweep();

  Core& core;
  RpcShared& shared;
  Random random;
  std::unordered_set<std::shared_ptr<RpcCall>> open;
  bool sweeping = false;
};

class RpcCall : public std::enable_shared_from_this<RpcCall> {
 public:
  RpcCall(RpcCore& home, grpc::CallbackServerContext& context);
  virtual ~RpcCall() = default;

  // On gRPC's thread, once, when the request has come.
  void arrive(std::string path, const grpc::ByteBuffer& message);

  // On the core's.
  RpcCore& home() { return home_; }
  void add_metadata(const std::string& name, const std::string& value);
  void send(std::string_view message);
  void finish(grpc::Status status, const HeaderList& trailers);
  bool drained() const { return !writing_ && waiting_.empty(); }
  void abort(Abort reason);
  void sweep(TimePoint now);
  void cancel();

 protected:
  // True: done at once; else on_written follows.
  virtual bool start_write(const grpc::ByteBuffer& message) = 0;
  virtual void start_finish(const grpc::Status& status) = 0;

  // On gRPC's threads.
  void on_written(bool ok);
  void on_cancelled();
  void on_done();

 private:
  HttpRequest request_of(std::string path, const grpc::ByteBuffer& message);
  void begin(HttpRequest request);
  void written(bool ok);
  void push();

  RpcCore& home_;
  grpc::CallbackServerContext& context_;  // until finished_
  std::weak_ptr<RpcExchange> exchange_;
  std::deque<std::string> waiting_;
  size_t waiting_bytes_ = 0;
  grpc::ByteBuffer outgoing_;
  TimePoint write_began_{};
  bool writing_ = false, finished_ = false;
  std::optional<grpc::Status> final_;
};

}  // namespace bessemer
