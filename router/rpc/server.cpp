#include "router/rpc/server.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "bessemer/v1/inference.grpc.pb.h"
#include "common/address.h"
#include "router/rpc/call.h"

namespace bessemer {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;

constexpr const char* kService = "bessemer.v1.Inference";
// Calls of one connection: gRPC clients share one among all their threads.
constexpr int kMaxCallsPerConnection = 1024;
// A ping of the transport on a silent connection, and how long its answer may take: a client that
// vanished without a word is gone after the two.
constexpr int kKeepaliveMs = 30'000, kKeepaliveTimeoutMs = 10'000;
constexpr int kMinPingMs = 10'000;  // clients that ping more often are sent away
constexpr auto kStopPoll = std::chrono::milliseconds(5);

class StreamCall final : public grpc::ServerWriteReactor<ByteBuffer>, public RpcCall {
 public:
  using RpcCall::RpcCall;
  void OnWriteDone(bool ok) override { on_written(ok); }
  void OnCancel() override { on_cancelled(); }
  void OnDone() override { on_done(); }

 protected:
  bool start_write(const ByteBuffer& message) override {
    StartWrite(&message);
    return false;
  }
  void start_finish(const grpc::Status& status) override { Finish(status); }
};

class UnaryCall final : public grpc::ServerUnaryReactor, public RpcCall {
 public:
  UnaryCall(RpcCore& home, CallbackServerContext& context, ByteBuffer& response)
      : RpcCall(home, context), response_(response) {}
  void OnCancel() override { on_cancelled(); }
  void OnDone() override { on_done(); }

 protected:
  bool start_write(const ByteBuffer& message) override {
    response_ = message;
    return true;
  }
  void start_finish(const grpc::Status& status) override { Finish(status); }

 private:
  ByteBuffer& response_;
};

// Gives each call to the core with the fewest live requests.
class RpcCores {
 public:
  RpcCores(const std::vector<Core*>& cores, RpcShared& shared) {
    for (Core* core : cores) cores_.push_back(std::make_unique<RpcCore>(*core, shared));
  }
  RpcCore& emptiest() {
    return **std::min_element(cores_.begin(), cores_.end(), [](const auto& a, const auto& b) {
      return a->core.live_requests() < b->core.live_requests();
    });
  }
  template <typename Act>
  void for_each_call(Act act) {
    for (auto& each : cores_) {
      each->core.post([&each = *each, act] {
        const std::vector<std::shared_ptr<RpcCall>> all(each.open.begin(), each.open.end());
        for (const auto& call : all) act(*call);
      });
    }
  }

 private:
  std::vector<std::unique_ptr<RpcCore>> cores_;
};

using v1::Inference;
using RawInference = Inference::WithRawCallbackMethod_Generate<
    Inference::WithRawCallbackMethod_Tokenize<Inference::WithRawCallbackMethod_Detokenize<
        Inference::WithRawCallbackMethod_ListModels<Inference::Service>>>>;

// Messages stay bytes: the endpoints read and write them.
class InferenceService final : public RawInference {
 public:
  explicit InferenceService(RpcCores& cores) : cores_(cores) {}

  grpc::ServerWriteReactor<ByteBuffer>* Generate(CallbackServerContext* context,
                                                 const ByteBuffer* request) override {
    auto call = std::make_shared<StreamCall>(cores_.emptiest(), *context);
    return arrived(call, "Generate", *request);
  }
  grpc::ServerUnaryReactor* Tokenize(CallbackServerContext* context, const ByteBuffer* request,
                                     ByteBuffer* response) override {
    return unary("Tokenize", context, request, response);
  }
  grpc::ServerUnaryReactor* Detokenize(CallbackServerContext* context, const ByteBuffer* request,
                                       ByteBuffer* response) override {
    return unary("Detokenize", context, request, response);
  }
  grpc::ServerUnaryReactor* ListModels(CallbackServerContext* context, const ByteBuffer* request,
                                       ByteBuffer* response) override {
    return unary("ListModels", context, request, response);
  }

 private:
  grpc::ServerUnaryReactor* unary(const char* method, CallbackServerContext* context,
                                  const ByteBuffer* request, ByteBuffer* response) {
    auto call = std::make_shared<UnaryCall>(cores_.emptiest(), *context, *response);
    return arrived(call, method, *request);
  }
  template <typename Call>
  static Call* arrived(const std::shared_ptr<Call>& call, const char* method,
                       const ByteBuffer& request) {
    call->arrive(std::string("/") + kService + "/" + method, request);
    return call.get();
  }

  RpcCores& cores_;
};

// The files have been read and checked by the HTTP front, which has the same.
std::shared_ptr<grpc::ServerCredentials> credentials_of(const TlsFiles& files) {
  constexpr unsigned kRereadSeconds = 1;
  if (!files.given()) return grpc::InsecureServerCredentials();
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(files.key, files.cert,
                                                                           kRereadSeconds));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(options);
}

class GrpcFront final : public RpcServer {
 public:
  GrpcFront(const RpcServerOptions& options, const std::vector<Core*>& cores)
      : options_(options), cores_(cores, shared_), service_(cores_) {
    shared_.limits = options.limits;
  }
  ~GrpcFront() override { stop(); }

  Status start(RequestHandler handle, ErrorRenderer render_error) override;
  uint16_t port() const override { return static_cast<uint16_t>(port_); }
  void announce_drain() override;
  void drain() override;
  void abort_all() override {
    cores_.for_each_call([](RpcCall& call) { call.abort(Abort::shutdown); });
  }
  void stop() override;

 private:
  const RpcServerOptions options_;
  RpcShared shared_;
  RpcCores cores_;
  InferenceService service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::thread shutdown_;  // waits for the calls that run
  std::atomic<bool> shut_{false};
};

Status GrpcFront::start(RequestHandler handle, ErrorRenderer render_error) {
  shared_.handle = std::move(handle);
  shared_.render_error = std::move(render_error);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  const std::string address = host_and_port(options_.host, options_.port);
  builder.AddListeningPort(address, credentials_of(options_.tls), &port_);
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(static_cast<int>(options_.limits.max_body_bytes));
  // Of requests that are still arriving.
  grpc::ResourceQuota quota("inference");
  quota.Resize(options_.limits.max_body_total_bytes);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             static_cast<int>(options_.limits.idle_timeout.count()));
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return absl::UnavailableError("cannot listen for gRPC on " + address +
                                  ": is the port in use? Choose another grpc_port");
  }
  server_->GetHealthCheckService()->SetServingStatus(true);
  server_->GetHealthCheckService()->SetServingStatus(kService, true);
  return absl::OkStatus();
}

void GrpcFront::announce_drain() {
  if (server_ != nullptr) server_->GetHealthCheckService()->SetServingStatus(false);
}

void GrpcFront::drain() {
  if (server_ == nullptr || shutdown_.joinable()) return;
  announce_drain();
  shutdown_ = std::thread([this] {
    server_->Shutdown();
    shut_.store(true, std::memory_order_release);
  });
}

void GrpcFront::stop() {
  if (server_ == nullptr) return;
  drain();
  // Health watches and reflection streams too: they end when their client ends them. The last
  // OnDone may come after Shutdown has returned.
  while (!shut_.load(std::memory_order_acquire) ||
         shared_.calls.load(std::memory_order_acquire) > 0) {
    grpc_server_cancel_all_calls(server_->c_server());
    std::this_thread::sleep_for(kStopPoll);
  }
  shutdown_.join();
  server_.reset();
}

}  // namespace

std::unique_ptr<RpcServer> RpcServer::create(const RpcServerOptions& options,
                                             const std::vector<Core*>& cores) {
  return std::make_unique<GrpcFront>(options, cores);
}

}  // namespace bessemer
