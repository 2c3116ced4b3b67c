// The life of gRPC calls: cancels, deadlines, drains, slow clients, many at once.
#include <atomic>
#include <thread>

#include "tests/router/rpc_fixture.h"

namespace bessemer {
namespace {

using grpc::StatusCode;

TEST_F(RpcTest, NoWorkerIsUnavailableAndSaysWhenToComeBack) {
  start();
  const auto all = generate(completion());
  EXPECT_EQ(all.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(all.detail().type(), "service_unavailable");
  EXPECT_GT(all.detail().retry_after_ms(), 0);
  EXPECT_TRUE(all.detail().retryable());
  EXPECT_EQ(all.trailing.count("grpc-retry-pushback-ms"), 1u);
}

TEST_F(RpcTest, ACancelledCallStopsItsWork) {
  auto& worker = add_worker();
  start();
  grpc::ClientContext context;
  const auto stream = stub_->Generate(&context, completion(30'000));
  v1::GenerateResponse message;
  ASSERT_TRUE(stream->Read(&message));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(worker.engine().live(), 1);
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }));
  EXPECT_TRUE(eventually([&] { return metric("bessemer_router_cancelled_total") == 1; }));
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 0; }));
}

TEST_F(RpcTest, TheClientsDeadlineIsTheRequests) {
  auto& worker = add_worker();
  start();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  const auto all = generate(context, completion(30'000));
  EXPECT_EQ(all.status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_GT(all.messages, 0);
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }));
}

TEST_F(RpcTest, TheRoutersOwnTimeLimitHolds) {
  config_.request_timeout_ms = 300;
  add_worker();
  start();
  const auto all = generate(completion(30'000));
  EXPECT_EQ(all.status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(all.detail().code(), "deadline_exceeded");
  EXPECT_FALSE(all.detail().retryable());
  EXPECT_EQ(all.trailing.find("grpc-retry-pushback-ms")->second, "-1");
}

TEST_F(RpcTest, AStreamThatCannotGoOnEndsWithAStatus) {
  add_worker();
  start();
  grpc::ClientContext context;
  const auto stream = stub_->Generate(&context, completion(30'000));
  v1::GenerateResponse message;
  ASSERT_TRUE(stream->Read(&message));
  ASSERT_TRUE(stream->Read(&message));
  router_->abort_requests();
  while (stream->Read(&message)) {
  }
  const auto status = stream->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
  EXPECT_FALSE(status.error_details().empty());
  EXPECT_EQ(metric("bessemer_router_failed_streams_total"), 1);
}

TEST_F(RpcTest, ADrainLetsCallsEndAndSendsNewOnesAway) {
  add_worker();
  start();
  grpc::ClientContext context;
  const auto stream = stub_->Generate(&context, completion(300));
  v1::GenerateResponse message;
  ASSERT_TRUE(stream->Read(&message));
  router_->begin_drain();
  EXPECT_EQ(router_->live_requests(), 1u);
  Collected all;
  all.add(message);
  while (stream->Read(&message)) all.add(message);
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(all.ids.at(0).size(), 300u);
  const auto fresh = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
  const auto stub = v1::Inference::NewStub(fresh);
  grpc::ClientContext later;
  v1::ListModelsResponse models;
  EXPECT_EQ(stub->ListModels(&later, {}, &models).error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(RpcTest, AStopEndsEveryCall) {
  add_worker();
  start();
  std::vector<std::thread> clients;
  std::atomic<int> begun{0}, ended{0};
  for (int i = 0; i < 8; i++) {
    clients.emplace_back([&] {
      grpc::ClientContext context;
      const auto stream = stub_->Generate(&context, completion(30'000));
      v1::GenerateResponse message;
      if (stream->Read(&message)) begun++;
      while (stream->Read(&message)) {
      }
      if (!stream->Finish().ok()) ended++;
    });
  }
  EXPECT_TRUE(eventually([&] { return begun == 8; }));
  router_.reset();
  for (auto& client : clients) client.join();
  EXPECT_EQ(ended, 8);
}

TEST_F(RpcTest, RequestIdsAreEchoed) {
  add_worker();
  start();
  grpc::ClientContext named;
  named.AddMetadata("x-request-id", "mine-1");
  EXPECT_EQ(generate(named, completion()).initial.find("x-request-id")->second, "mine-1");
  const auto all = generate(completion());
  ASSERT_EQ(all.initial.count("x-request-id"), 1u);
  EXPECT_TRUE(all.initial.find("x-request-id")->second.starts_with("req-"));
}

TEST_F(RpcTest, ASlowReaderGetsEverything) {
  mock_.timing.step_us = 50;
  add_worker();
  start();
  grpc::ClientContext context;
  const auto stream = stub_->Generate(&context, completion(20'000));
  Collected all;
  v1::GenerateResponse message;
  while (stream->Read(&message)) {
    all.add(message);
    if (all.messages < 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(all.ids.at(0).size(), 20'000u);
  EXPECT_EQ(all.usage.completion_tokens(), 20'000);
}

TEST_F(RpcTest, ManyAtOnceLeaveNothing) {
  auto& worker = add_worker();
  start();
  std::vector<std::thread> clients;
  std::atomic<int> whole{0};
  for (int i = 0; i < 32; i++) {
    clients.emplace_back([&, i] {
      grpc::ClientContext context;
      if (i % 4 == 0) {
        const auto stream = stub_->Generate(&context, completion(30'000));
        v1::GenerateResponse message;
        stream->Read(&message);
        context.TryCancel();
        stream->Finish();
        return;
      }
      const auto all = generate(context, completion(50));
      if (all.status.ok() && all.ids.at(0).size() == 50) whole++;
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(whole, 24);
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }));
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 0; }));
}

}  // namespace
}  // namespace bessemer
