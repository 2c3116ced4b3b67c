#include "tests/service/client.h"

#include <atomic>
#include <utility>

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "bessemer/v1/engine.grpc.pb.h"

namespace bessemer::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(90);  // sanitizers on a loaded machine

class Lane final : public LaneClient {
 public:
  Lane(v1::Engine::Stub& stub) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub.Session(&context_);
  }
  ~Lane() override {
    context_.TryCancel();
    if (!status_) stream_->Finish();
  }
  bool send(const v1::RouterFrame& frame) override { return stream_->Write(frame); }
  std::optional<v1::WorkerFrame> receive() override {
    v1::WorkerFrame frame;
    while (stream_->Read(&frame)) {
      if (!frame.has_ping()) return frame;
    }
    return std::nullopt;
  }
  std::pair<int, std::string> status() override {
    if (!status_) status_ = stream_->Finish();
    return {static_cast<int>(status_->error_code()), status_->error_message()};
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RouterFrame, v1::WorkerFrame>> stream_;
  std::optional<grpc::Status> status_;
};

class KvStream final : public KvReader {
 public:
  KvStream(v1::State::Stub& stub, const v1::WatchKvRequest& request) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub.WatchKv(&context_, request);
  }
  ~KvStream() override {
    context_.TryCancel();
    if (!ended_) stream_->Finish();
  }
  std::optional<v1::KvUpdate> receive() override {
    v1::KvUpdate update;
    if (stream_->Read(&update)) return update;
    return std::nullopt;
  }
  std::pair<int, std::string> status() override {
    ended_ = true;
    const grpc::Status status = stream_->Finish();
    return {static_cast<int>(status.error_code()), status.error_message()};
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::KvUpdate>> stream_;
  bool ended_ = false;
};

class Client final : public WorkerClient {
 public:
  explicit Client(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    engine_ = v1::Engine::NewStub(channel_);
    state_ = v1::State::NewStub(channel_);
  }
  std::unique_ptr<LaneClient> open_lane() override { return std::make_unique<Lane>(*engine_); }
  std::optional<v1::ModelCard> card() override {
    grpc::ClientContext context;
    v1::ModelCard card;
    if (!state_->GetModelCard(&context, {}, &card).ok()) return std::nullopt;
    return card;
  }
  std::string vocabulary_bytes() override {
    grpc::ClientContext context;
    const auto reader = state_->GetTokenizer(&context, {});
    std::string bytes;
    v1::TokenizerChunk chunk;
    bool last = false;
    while (reader->Read(&chunk)) {
      bytes += chunk.data();
      last = chunk.last();
    }
    return reader->Finish().ok() && last ? bytes : "";
  }
  std::vector<v1::LoadReport> watch(uint32_t interval_ms,
                                    bool (*enough)(const v1::LoadReport&)) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::WatchLoadRequest request;
    request.set_interval_ms(interval_ms);
    const auto reader = state_->WatchLoad(&context, request);
    std::vector<v1::LoadReport> reports;
    v1::LoadReport report;
    while (reader->Read(&report)) {
      reports.push_back(report);
      if (enough(report)) break;
    }
    context.TryCancel();
    reader->Finish();
    return reports;
  }
  std::unique_ptr<KvReader> watch_kv(const v1::WatchKvRequest& request) override {
    return std::make_unique<KvStream>(*state_, request);
  }
  // grpc.health.v1.HealthCheckResponse{status = 1}: field 1, value SERVING = 1, in wire form.
  bool serving() override {
    grpc::ClientContext context;
    const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                           grpc::internal::RpcMethod::NORMAL_RPC, channel_);
    const grpc::Slice empty;
    grpc::ByteBuffer request(&empty, 1), response;
    const auto status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
        channel_.get(), method, &context, request, &response);
    grpc::Slice bytes;
    return status.ok() && response.DumpToSingleSlice(&bytes).ok() && bytes.size() == 2 &&
           bytes.begin()[0] == 0x08 && bytes.begin()[1] == 1;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Engine::Stub> engine_;
  std::unique_ptr<v1::State::Stub> state_;
};

void note_event(const v1::Event& event, Answer& answer) {
  if (event.has_admitted()) answer.admitted = event.admitted();
  if (event.has_rejected()) answer.rejected = event.rejected();
  if (event.has_choice_end()) answer.ends.push_back(event.choice_end());
  if (event.has_done()) answer.done = event.done();
  if (event.has_failed()) answer.failed = event.failed();
  if (event.has_handoff()) answer.handoff = event.handoff();
}

void note_rows(const v1::StepBatch& step, uint64_t attempt, Answer& answer) {
  int at = 0;
  for (int row = 0; row < step.attempt_size(); ++row) {
    const int count = static_cast<int>(step.count(row));
    const size_t choice = step.choice(row);
    if (step.attempt(row) == attempt) {
      if (answer.ids.size() <= choice) answer.ids.resize(choice + 1);
      for (int i = 0; i < count; ++i) answer.ids[choice].push_back(step.ids(at + i));
    }
    at += count;
  }
}

size_t total_tokens(const Answer& answer) {
  size_t total = 0;
  for (const auto& ids : answer.ids) total += ids.size();
  return total;
}

std::string next_request_id() {
  static std::atomic<uint64_t> next{1};
  const uint64_t number = next++;
  std::string id(16, '\0');
  for (size_t i = 0; i < 8; ++i) id[i] = static_cast<char>(number >> (8 * i));
  return id;
}

}  // namespace

std::unique_ptr<WorkerClient> connect(const std::string& address) {
  return std::make_unique<Client>(address);
}

v1::RouterFrame hello_frame(std::initializer_list<Feature> features) {
  v1::RouterFrame frame;
  v1::Hello& hello = *frame.mutable_hello();
  hello.set_protocol_min(1);
  hello.set_protocol_max(1);
  hello.set_incarnation(7);
  for (const Feature feature : features) hello.add_features(static_cast<uint32_t>(feature));
  return frame;
}

v1::RouterFrame start_frame(uint64_t attempt, const std::vector<uint32_t>& ids,
                            uint32_t max_tokens) {
  v1::RouterFrame frame;
  v1::Start& start = *frame.mutable_start();
  start.set_attempt(attempt);
  start.set_request_id(next_request_id());
  start.mutable_input()->mutable_ids()->Add(ids.begin(), ids.end());
  v1::Generate& generate = *start.mutable_generate();
  generate.set_temperature(0);
  generate.set_max_tokens(max_tokens);
  generate.set_ignore_eos(true);
  return frame;
}

void read_answer(LaneClient& lane, uint64_t attempt, Answer& answer, size_t until_tokens) {
  while (!answer.over() && total_tokens(answer) < until_tokens) {
    const auto frame = lane.receive();
    if (!frame) return;
    if (!frame->has_step()) continue;
    for (const auto& event : frame->step().before()) {
      if (event.attempt() == attempt) note_event(event, answer);
    }
    note_rows(frame->step(), attempt, answer);
    for (const auto& event : frame->step().after()) {
      if (event.attempt() == attempt) note_event(event, answer);
    }
  }
}

Answer ask(LaneClient& lane, const v1::RouterFrame& start) {
  Answer answer;
  if (lane.send(hello_frame()) && lane.send(start))
    read_answer(lane, start.start().attempt(), answer);
  return answer;
}

}  // namespace bessemer::testing
