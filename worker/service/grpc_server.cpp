#include "worker/service/grpc_server.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include "common/address.h"
#include "worker/service/server_credentials.h"
#include "worker/service/session_service.h"
#include "worker/service/state_service.h"

namespace bessemer {
namespace {

// As rarely as SessionCore::on_tick allows: pings, leases and idle load reports are a second and
// more apart (steps report by themselves), and each look costs an idle worker some 60 us of CPU.
constexpr auto kTick = std::chrono::milliseconds(100);

// Streams of one connection: a router opens at most a few lanes and watches.
constexpr int kMaxStreamsPerConnection = 128;

// A ping of the transport on a connection that is silent for so long, and how long its answer may
// take. Lanes are never silent for that long.
constexpr int kKeepaliveMs = 10'000;

class GrpcServer final : public WorkerServer {
 public:
  GrpcServer(const ServerOptions& options, const WorkerFacts& facts, Hub& hub, const Clock& clock)
      : host_(options.host),
        wanted_port_(options.port),
        tls_(options.tls),
        session_limits_(options.session),
        clock_(clock),
        sessions_(make_session_service(facts, session_limits_,
                                       static_cast<size_t>(options.max_lanes), hub, clock)),
        state_(make_state_service(facts, static_cast<size_t>(options.max_watches), hub, clock)) {}
  ~GrpcServer() override { stop(Duration::zero()); }

  Status start() override;
  int32_t port() const override { return port_; }
  void on_step() override { state_->on_step(clock_.now()); }
  void drain(uint32_t deadline_ms) override;
  void stop(Duration grace) override;

 private:
  void run_ticks();

  const std::string host_;
  const int32_t wanted_port_;
  const TlsFiles tls_;
  const SessionLimits session_limits_;
  const Clock& clock_;
  // The services outlive the server, and wait in their destructors for the last OnDone, which may
  // come after Shutdown.
  const std::unique_ptr<SessionService> sessions_;
  const std::unique_ptr<StateService> state_;
  std::unique_ptr<grpc::Server> server_;
  bool stopped_ = false;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread ticker_;
};

Status GrpcServer::start() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  const std::string address = host_and_port(host_, wanted_port_);
  ASSIGN_OR_RETURN(const auto credentials, make_server_credentials(tls_));
  builder.AddListeningPort(address, credentials, &port_);
  builder.RegisterService(sessions_->service());
  builder.RegisterService(state_->service());
  // A frame has at most kMaxFrameBytes of ids; the rest of a Start (biases, stop ids) gets as much
  // again.
  builder.SetMaxReceiveMessageSize(2 * kMaxFrameBytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // a port in use is an error, not a share of its connections
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  // Liveness is the lanes' own Ping; a router's keepalive must never be punished.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Lanes have their lease; this ends the watches of peers that vanished without a word.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port_ == 0) {
    return absl::UnavailableError("cannot listen on " + address +
                                  ": is the port in use? Choose another with --port");
  }
  server_->GetHealthCheckService()->SetServingStatus(true);
  ticker_ = std::thread([this] { run_ticks(); });
  return absl::OkStatus();
}

void GrpcServer::run_ticks() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kTick, [&] { return stopping_; })) {
    lock.unlock();
    const TimePoint now = clock_.now();
    sessions_->on_tick(now);
    state_->on_tick(now);
    lock.lock();
  }
}

void GrpcServer::drain(uint32_t deadline_ms) {
  server_->GetHealthCheckService()->SetServingStatus(false);
  sessions_->drain(deadline_ms);
}

void GrpcServer::stop(Duration grace) {
  if (server_ == nullptr || std::exchange(stopped_, true)) return;
  sessions_->close();
  state_->close();
  const auto wall = std::chrono::duration_cast<std::chrono::system_clock::duration>(grace);
  server_->Shutdown(std::chrono::system_clock::now() + wall);
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (ticker_.joinable()) ticker_.join();
}

}  // namespace

std::unique_ptr<WorkerServer> WorkerServer::make(const ServerOptions& options,
                                                 const WorkerFacts& facts, Hub& hub,
                                                 const Clock& clock) {
  return std::make_unique<GrpcServer>(options, facts, hub, clock);
}

}  // namespace bessemer
