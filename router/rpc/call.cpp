#include "router/rpc/call.h"

#include <chrono>
#include <utility>
#include <vector>

#include "router/rpc/rpc_exchange.h"

namespace bessemer {
namespace {

// As the HTTP front: time-outs are late by at most this much.
constexpr auto kSweepInterval = std::chrono::milliseconds(200);

TimePoint now_steady() {
  return std::chrono::steady_clock::now();
}

// gRPC's deadline is a time of the wall clock; "none" lies at its end.
TimePoint steady_deadline(std::chrono::system_clock::time_point deadline, TimePoint now) {
  if (deadline == std::chrono::system_clock::time_point::max()) return TimePoint::max();
  const Duration left = deadline - std::chrono::system_clock::now();
  constexpr Duration kFar = std::chrono::hours(24 * 365);
  return left > kFar ? TimePoint::max() : now + left;
}

std::string bytes_of(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!message.Dump(&slices).ok()) return bytes;
  bytes.reserve(message.Length());
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

grpc::ByteBuffer buffer_of(std::string_view bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return {&slice, 1};
}

}  // namespace

void RpcCore::arm_sweep() {
  if (std::exchange(sweeping, true)) return;
  core.after(kSweepInterval, [this] {
    sweeping = false;
    const std::vector<std::shared_ptr<RpcCall>> all(open.begin(), open.end());
    const TimePoint now = now_steady();
    for (const auto& call : all) call->sweep(now);
    if (!open.empty()) arm_sweep();
  });
}

RpcCall::RpcCall(RpcCore& home, grpc::CallbackServerContext& context)
    : home_(home), context_(context) {
  home_.shared.calls.fetch_add(1, std::memory_order_relaxed);
  home_.core.count_request(1);
}

// ---- gRPC's threads ----

void RpcCall::arrive(std::string path, const grpc::ByteBuffer& message) {
  home_.core.post(
      [self = shared_from_this(), request = request_of(std::move(path), message)]() mutable {
        self->begin(std::move(request));
      });
}

HttpRequest RpcCall::request_of(std::string path, const grpc::ByteBuffer& message) {
  HttpRequest request;
  request.method = "POST";
  request.path = std::move(path);
  for (const auto& [name, value] : context_.client_metadata())
    request.headers.emplace_back(std::string(name.data(), name.size()),
                                 std::string(value.data(), value.size()));
  request.body = bytes_of(message);
  request.received = now_steady();
  request.deadline = steady_deadline(context_.deadline(), request.received);
  return request;
}

void RpcCall::on_written(bool ok) {
  home_.core.post([self = shared_from_this(), ok] { self->written(ok); });
}

void RpcCall::on_cancelled() {
  home_.core.post([self = shared_from_this()] { self->abort(Abort::disconnected); });
}

void RpcCall::on_done() {
  home_.core.post([self = shared_from_this()] {
    self->home_.open.erase(self);
    self->home_.core.count_request(-1);
    self->home_.shared.calls.fetch_sub(1, std::memory_order_release);
  });
}

// ---- the core's ----

void RpcCall::begin(HttpRequest request) {
  home_.open.insert(shared_from_this());
  home_.arm_sweep();
  const std::string* id = request.header("x-request-id");
  request.id = id != nullptr && well_formed_request_id(*id) ? *id : new_request_id(home_.random);
  add_metadata("x-request-id", request.id);
  const RpcShared& shared = home_.shared;
  const bool room = request.body_lease.grow(home_.shared.body_bytes, request.body.size(),
                                            shared.limits.max_body_total_bytes);
  const bool crowded = shared.calls.load(std::memory_order_relaxed) > shared.limits.max_connections;
  const auto exchange = std::make_shared<RpcExchange>(shared_from_this(), std::move(request));
  exchange_ = exchange;
  if (room && !crowded) return shared.handle(exchange);
  exchange->respond(shared.render_error(
      home_.core.index(), 503, crowded ? "too many open calls" : "too many requests at once"));
}

void RpcCall::add_metadata(const std::string& name, const std::string& value) {
  if (!final_) context_.AddInitialMetadata(name, value);
}

void RpcCall::send(std::string_view message) {
  if (final_) return;
  if (waiting_.empty() || waiting_.back().size() + message.size() > kMessageBytes)
    waiting_.emplace_back();
  waiting_.back() += message;
  waiting_bytes_ += message.size();
  if (waiting_bytes_ > home_.shared.limits.max_output_bytes && writing_) return cancel();
  push();
}

void RpcCall::finish(grpc::Status status, const HeaderList& trailers) {
  if (final_) return;
  for (const auto& [name, value] : trailers) context_.AddTrailingMetadata(name, value);
  final_ = std::move(status);
  push();
}

// The next step that gRPC can take now.
void RpcCall::push() {
  while (!writing_ && !waiting_.empty()) {
    outgoing_ = buffer_of(waiting_.front());
    waiting_bytes_ -= waiting_.front().size();
    waiting_.pop_front();
    writing_ = true;
    write_began_ = now_steady();
    if (start_write(outgoing_)) writing_ = false;
  }
  if (writing_ || !final_ || std::exchange(finished_, true)) return;
  start_finish(*final_);
}

void RpcCall::written(bool ok) {
  writing_ = false;
  if (!ok) abort(Abort::disconnected);
  push();
  if (!drained()) return;
  if (const auto exchange = exchange_.lock()) exchange->became_writable();
}

void RpcCall::abort(Abort reason) {
  const auto exchange = exchange_.lock();
  if (exchange != nullptr) exchange->abort(reason);
  if (reason != Abort::disconnected) return;
  waiting_.clear();
  waiting_bytes_ = 0;
  finish(grpc::Status::CANCELLED, {});
}

void RpcCall::sweep(TimePoint now) {
  if (writing_ && now - write_began_ > home_.shared.limits.write_timeout) return cancel();
  const auto exchange = exchange_.lock();
  if (exchange != nullptr && exchange->deadline() <= now) exchange->abort(Abort::deadline);
}

void RpcCall::cancel() {
  if (!finished_) context_.TryCancel();
}

}  // namespace bessemer
