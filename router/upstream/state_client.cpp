#include "router/upstream/state_client.h"

#include <algorithm>

namespace bessemer {
namespace {

// One GetTokenizer: pieces are put together up to the limit. Deletes itself.
class VocabularyCall final : public grpc::ClientReadReactor<v1::TokenizerChunk> {
 public:
  VocabularyCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context,
                 const std::string& hash, size_t limit, SessionObserver& observer, CallCount& calls)
      : counted_(calls), context_(std::move(context)), limit_(limit), observer_(observer) {
    request_.set_tokenizer_hash(hash);
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
    delete this;
  }

 private:
  const CallCount::Hold counted_;  // first
  std::shared_ptr<grpc::ClientContext> context_;
  const size_t limit_;
  SessionObserver& observer_;
  v1::GetTokenizerRequest request_;
  v1::TokenizerChunk chunk_;
  std::string bytes_;
  bool last_ = false, too_large_ = false;
};

// One stream of reports, until it breaks. Deletes itself.
template <typename Report>
class WatchCall : public grpc::ClientReadReactor<Report> {
 protected:
  WatchCall(std::shared_ptr<grpc::ClientContext> context, CallCount& calls)
      : counted_(calls), context_(std::move(context)) {}
  // Behind the call to the stub.
  void begin() {
    this->StartRead(&report_);
    this->StartCall();
  }
  grpc::ClientContext* context() { return context_.get(); }

 private:
  virtual void on_report(const Report& report) = 0;
  virtual void on_end(const Status& why) = 0;
  void OnReadDone(bool ok) final {
    if (!ok) return;
    on_report(report_);
    this->StartRead(&report_);
  }
  void OnDone(const grpc::Status& status) final {
    on_end(from_grpc(status));
    delete this;
  }

  const CallCount::Hold counted_;  // first
  std::shared_ptr<grpc::ClientContext> context_;
  Report report_;
};

class LoadCall final : public WatchCall<v1::LoadReport> {
 public:
  LoadCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context,
           uint32_t interval_ms, SessionObserver& observer, CallCount& calls)
      : WatchCall(std::move(context), calls), observer_(observer) {
    request_.set_interval_ms(interval_ms);
    stub.async()->WatchLoad(this->context(), &request_, this);
    begin();
  }

 private:
  void on_report(const v1::LoadReport& report) override { observer_.on_report(report); }
  void on_end(const Status& why) override { observer_.on_report_end(std::string(why.message())); }

  SessionObserver& observer_;
  v1::WatchLoadRequest request_;
};

class TenantsCall final : public WatchCall<v1::TenantReport> {
 public:
  TenantsCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context,
              SessionObserver& observer, CallCount& calls)
      : WatchCall(std::move(context), calls), observer_(observer) {
    stub.async()->WatchTenants(this->context(), &request_, this);
    begin();
  }

 private:
  void on_report(const v1::TenantReport& report) override { observer_.on_tenants(report); }
  void on_end(const Status&) override { observer_.on_tenants_end(); }

  SessionObserver& observer_;
  v1::WatchTenantsRequest request_;  // at the worker's own interval
};

// One WatchKv, until it breaks or is stopped. Deletes itself; a hold keeps OnDone away while
// somebody has the update.
class KvCall final : public grpc::ClientReadReactor<v1::KvUpdate>, public KvDelivery {
 public:
  KvCall(v1::State::Stub& stub, std::shared_ptr<grpc::ClientContext> context, uint64_t stream,
         const v1::WatchKvRequest& request, SessionObserver& observer, CallCount& calls)
      : counted_(calls),
        context_(std::move(context)),
        stream_(stream),
        observer_(observer),
        request_(request) {
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
    delete this;
  }

 private:
  const CallCount::Hold counted_;  // first
  std::shared_ptr<grpc::ClientContext> context_;
  const uint64_t stream_;
  SessionObserver& observer_;
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
    explicit Call(CallCount& calls) : counted(calls) {}
    const CallCount::Hold counted;  // first
    std::shared_ptr<grpc::ClientContext> context;
    v1::GetModelCardRequest request;
    v1::ModelCard card;
  };
  auto call = std::make_shared<Call>(calls_);
  call->context = make_context(true);
  stub_->async()->GetModelCard(call->context.get(), &call->request, &call->card,
                               [call, &observer = observer_](const grpc::Status& status) mutable {
                                 if (status.ok()) {
                                   observer.on_card(std::move(call->card));
                                 } else {
                                   observer.on_card(from_grpc(status));
                                 }
                                 call.reset();
                               });
}

void StateClient::fetch_vocabulary(const std::string& tokenizer_hash) {
  new VocabularyCall(*stub_, make_context(true), tokenizer_hash, options_.max_vocabulary_bytes,
                     observer_, calls_);
}

void StateClient::watch_load() {
  new LoadCall(*stub_, make_context(false), options_.load_interval_ms, observer_, calls_);
}

void StateClient::watch_tenants() {
  new TenantsCall(*stub_, make_context(false), observer_, calls_);
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
