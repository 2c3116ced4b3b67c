// A client of bessemer.v1.Inference, and a router with mock workers for it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bessemer/v1/inference.grpc.pb.h"
#include "tests/router/router_fixture.h"

namespace bessemer {

// A stream put together as clients do.
struct Collected {
  v1::GenerateHead head;
  std::map<int, std::string> text;
  std::map<int, std::vector<int32_t>> ids;
  std::map<int, std::vector<v1::TokenLogprob>> logprobs;
  std::map<int, v1::ChoiceDelta> last;  // with the finish reason
  v1::GenerateUsage usage;
  int messages = 0;
  grpc::Status status;
  std::multimap<std::string, std::string> initial, trailing;

  void add(const v1::GenerateResponse& message) {
    messages++;
    if (message.has_head()) head = message.head();
    if (message.has_usage()) usage = message.usage();
    for (const auto& choice : message.choices()) {
      const int index = choice.index();
      text[index] += choice.text();
      ids[index].insert(ids[index].end(), choice.ids().begin(), choice.ids().end());
      for (const auto& token : choice.logprobs()) logprobs[index].push_back(token);
      if (choice.finish_reason() != v1::FINISH_UNSPECIFIED) last[index] = choice;
    }
  }
  v1::ErrorDetail detail() const {
    v1::StatusDetails details;
    v1::ErrorDetail detail;
    EXPECT_TRUE(details.ParseFromString(status.error_details()));
    EXPECT_EQ(details.code(), status.error_code());
    EXPECT_EQ(details.message(), status.error_message());
    EXPECT_EQ(details.details_size(), 1);
    if (details.details_size() == 1) EXPECT_TRUE(details.details(0).UnpackTo(&detail));
    return detail;
  }
};

inline std::multimap<std::string, std::string> copy_of(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  std::multimap<std::string, std::string> out;
  for (const auto& [name, value] : metadata)
    out.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  return out;
}

class RpcTest : public RouterTest {
 protected:
  RpcTest() { config_.grpc_port = 0; }

  void start() {
    RouterTest::start();
    address_ = "127.0.0.1:" + std::to_string(router_->grpc_port());
    channel_ = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    stub_ = v1::Inference::NewStub(channel_);
  }
  void TearDown() override {
    stub_.reset();
    channel_.reset();
    RouterTest::TearDown();
  }
  static v1::GenerateRequest completion(int max_tokens = 8) {
    v1::GenerateRequest request;
    request.set_model("mock");
    request.set_prompt("hello");
    request.set_max_tokens(max_tokens);
    request.set_seed(7);
    return request;
  }
  Collected generate(const v1::GenerateRequest& request) {
    grpc::ClientContext context;
    return generate(context, request);
  }
  Collected generate(grpc::ClientContext& context, const v1::GenerateRequest& request) {
    Collected all;
    const auto stream = stub_->Generate(&context, request);
    v1::GenerateResponse message;
    while (stream->Read(&message)) all.add(message);
    all.status = stream->Finish();
    all.initial = copy_of(context.GetServerInitialMetadata());
    all.trailing = copy_of(context.GetServerTrailingMetadata());
    return all;
  }

  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Inference::Stub> stub_;
};

}  // namespace bessemer
