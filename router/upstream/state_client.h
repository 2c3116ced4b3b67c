// The calls of service State on one worker's channel. Includes gRPC: for the files of this folder
// only.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "router/upstream/call_count.h"
#include "router/upstream/worker_session.h"

namespace bessemer {

class StateClient {
 public:
  // `observer` and `calls` outlive the client and its calls.
  StateClient(const std::shared_ptr<grpc::Channel>& channel, const WorkerSessionOptions& options,
              SessionObserver& observer, CallCount& calls);
  void fetch_card();
  void fetch_vocabulary(const std::string& tokenizer_hash);
  void watch_load();
  void watch_kv(uint64_t stream, const v1::WatchKvRequest& request);
  // Cancels what is under way; the observer hears of it.
  void cancel_all();

 private:
  std::shared_ptr<grpc::ClientContext> make_context(bool bounded);

  const WorkerSessionOptions& options_;
  SessionObserver& observer_;
  CallCount& calls_;
  std::unique_ptr<v1::State::Stub> stub_;
  std::mutex mutex_;
  bool cancelled_ = false;
  std::vector<std::weak_ptr<grpc::ClientContext>> contexts_;
};

Status from_grpc(const grpc::Status& status);

}  // namespace bessemer
