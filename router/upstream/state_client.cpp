#include "router/upstream/state_client.h"

#include <algorithm>

namespace bessemer {
namespace {

// One GetTokenizer: pieces are put together up to the limit. Deletes itself.
class VocabularyCall final : public grpc::ClientReadReactor<v1::TokenizerChunk> {
 public:
  VocabularyCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context,
                 const std::string& hash, size_t limit, SessionObserver& observer, CallCount& calls)
      : context_(std::move(context)), limit_(limit), observer_(observer), calls_(calls) {
    request_.set_tokenizer_hash(hash);
    calls_.add();
    stub.async()->GetTokenizer(context_.get(), &request_, this);
    StartRead(&chunk_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    last_ = last_ || chunk_.last();
    if (bytes_.size() + chunk_.data().size() > limit_) {
      too_large_ = true;
      context_->TryCancel();
    } else {
      bytes_ += chunk_.data();
    }
    StartRead(&chunk_);
  }

  void OnDone(const grpc::Status& status) override {
    StatusOr<std::string> result = std::move(bytes_);
    if (too_large_) {
      result = absl::ResourceExhaustedError("the worker's vocabulary exceeds " +
                                            std::to_string(limit_) + " bytes");
    } else if (!status.ok()) {
      result = from_grpc(status);
    } else if (!last_) {
      result = absl::DataLossError("the worker's vocabulary ended early");
    }
    observer_.on_vocabulary(request_.tokenizer_hash(), std::move(result));
    CallCount& calls = calls_;
    delete this;
    calls.remove();
  }

 private:
  std::shared_ptr<grpc::ClientContext> context_;
  const size_t limit_;
  SessionObserver& observer_;
  CallCount& calls_;
  v1::GetTokenizerRequest request_;
  v1::TokenizerChunk chunk_;
  std::string bytes_;
  bool last_ = false, too_large_ = false;
};

// One WatchLoad, until it breaks. Deletes itself.
class LoadCall final : public grpc::ClientReadReactor<v1::LoadReport> {
 public:
  LoadCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context,
           uint32_t interval_ms, SessionObserver& observer, CallCount& calls)
      : context_(std::move(context)), observer_(observer), calls_(calls) {
    request_.set_interval_ms(interval_ms);
    calls_.add();
    stub.async()->WatchLoad(context_.get(), &request_, this);
    StartRead(&report_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    observer_.on_report(report_);
    StartRead(&report_);
  }

  void OnDone(const grpc::Status& status) override {
    observer_.on_report_end(std::string(from_grpc(status).message()));
    CallCount& calls = calls_;
    delete this;
    calls.remove();
  }

 private:
  std::shared_ptr<grpc::ClientContext> context_;
  SessionObserver& observer_;
  CallCount& calls_;
  v1::WatchLoadRequest request_;
  v1::LoadReport report_;
};

// One WatchKv, until it breaks or is stopped. Deletes itself; a hold keeps OnDone away while
// somebody has the update.
class KvCall final : public grpc::ClientReadReactor<v1::KvUpdate>, public KvDelivery {
 public:
  KvCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context, uint64_t stream,
         const v1::WatchKvRequest& request, SessionObserver& observer, CallCount& calls)
      : context_(std::move(context)),
        stream_(stream),
        observer_(observer),
        calls_(calls),
        request_(request) {
    calls_.add();
    stub.async()->WatchKv(context_.get(), &request_, this);
    StartRead(&update_);
    StartCall();
  }

  const v1::KvUpdate& update() const override { return update_; }
  void read_on() override {
    StartRead(&update_);
    RemoveHold();
  }
  void stop() override {
    context_->TryCancel();
    RemoveHold();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    AddHold();
    observer_.on_kv_update(stream_, *this);
  }

  void OnDone(const grpc::Status& status) override {
    observer_.on_kv_end(stream_, from_grpc(status));
    CallCount& calls = calls_;
    delete this;
    calls.remove();
  }

 private:
  std::shared_ptr<grpc::ClientContext> context_;
  const uint64_t stream_;
  SessionObserver& observer_;
  CallCount& calls_;
  const v1::WatchKvRequest request_;
  v1::KvUpdate update_;
};

}  // namespace

Status from_grpc(const grpc::Status& status) {
  return Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

StateClient::StateClient(const std::shared_ptr<grpc::Channel>& channel,
                         const WorkerSessionOptions& options, SessionObserver& observer,
                         CallCount& calls)
    : options_(options), observer_(observer), calls_(calls), stub_(v1::State::NewStub(channel)) {}

std::shared_ptr<grpc::ClientContext> StateClient::make_context(bool bounded) {
  auto context = std::make_shared<grpc::ClientContext>();
  if (bounded) context->set_deadline(std::chrono::system_clock::now() + options_.call_timeout);
  std::lock_guard lock(mutex_);
  if (cancelled_) context->TryCancel();  // before the call starts: it ends at once
  std::erase_if(contexts_, [](const auto& one) { return one.expired(); });
  contexts_.push_back(context);
  return context;
}

void StateClient::fetch_card() {
  struct Call {
    std::shared_ptr<grpc::ClientContext> context;
    v1::GetModelCardRequest request;
    v1::ModelCard card;
  };
  auto call = std::make_shared<Call>();
  call->context = make_context(true);
  calls_.add();
  stub_->async()->GetModelCard(
      call->context.get(), &call->request, &call->card,
      [call, &observer = observer_, &calls = calls_](const grpc::Status& status) mutable {
        if (status.ok()) {
          observer.on_card(std::move(call->card));
        } else {
          observer.on_card(from_grpc(status));
        }
        call.reset();
        calls.remove();
      });
}

void StateClient::fetch_vocabulary(const std::string& tokenizer_hash) {
  new VocabularyCall(*stub_, make_context(true), tokenizer_hash, options_.max_vocabulary_bytes,
                     observer_, calls_);
}

void StateClient::watch_load() {
  new LoadCall(*stub_, make_context(false), options_.load_interval_ms, observer_, calls_);
}

void StateClient::watch_kv(uint64_t stream, const v1::WatchKvRequest& request) {
  new KvCall(*stub_, make_context(false), stream, request, observer_, calls_);
}

void StateClient::cancel_all() {
  std::vector<std::weak_ptr<grpc::ClientContext>> contexts;
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    contexts.swap(contexts_);
  }
  for (const auto& weak : contexts) {
    if (const auto context = weak.lock()) context->TryCancel();
  }
}

}  // namespace bessemer
