// Mutual TLS with roles over real gRPC: who gets in, and to which service.
#include <thread>

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <gtest/gtest.h>

#include "bessemer/v1/cluster.grpc.pb.h"
#include "router/upstream/grpc_credentials.h"
#include "router/upstream/peer_credentials.h"
#include "tests/support/certificates.h"
#include "worker/service/server_credentials.h"

namespace bessemer {
namespace {

TEST(ServerCredentials, RolesAndServices) {
  constexpr const char* kSession = "/bessemer.v1.Engine/Session";
  EXPECT_TRUE(may_call(PeerRole::router, kSession));
  for (const auto role : {PeerRole::worker, PeerRole::admin, PeerRole::scraper})
    EXPECT_FALSE(may_call(role, kSession));
  EXPECT_FALSE(may_call(std::nullopt, kSession));
  EXPECT_TRUE(may_call(PeerRole::admin, "/bessemer.v1.Admin/Drain"));
  EXPECT_FALSE(may_call(PeerRole::router, "/bessemer.v1.Admin/Drain"));
  EXPECT_TRUE(may_call(PeerRole::scraper, "/bessemer.v1.State/WatchLoad"));
  EXPECT_TRUE(may_call(PeerRole::scraper, "/grpc.health.v1.Health/Check"));
  EXPECT_FALSE(may_call(std::nullopt, "/grpc.health.v1.Health/Check"));
  EXPECT_FALSE(may_call(PeerRole::admin, "/some.other.Service/Call"));  // G2
  EXPECT_FALSE(may_call(PeerRole::router, "bessemer.v1.Engine/Session"));
  EXPECT_FALSE(may_call(PeerRole::router, ""));
}

class Card final : public v1::State::Service {
  grpc::Status GetModelCard(grpc::ServerContext*, const v1::GetModelCardRequest*,
                            v1::ModelCard* card) override {
    card->set_name("m");
    return grpc::Status::OK;
  }
};

class CredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto credentials = make_server_credentials(authority_.issue_role("worker"));
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", *credentials, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override { server_->Shutdown(std::chrono::system_clock::now()); }

  using Credentials = std::shared_ptr<grpc::ChannelCredentials>;
  static Credentials of_router(const TlsFiles& files) {
    auto loaded = load_peer_credentials(files);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return (*loaded)->channel;
  }
  // Of a client that trusts the worker whatever it says.
  static Credentials of_client(const TlsFiles& files) {
    grpc::experimental::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(
        std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(files.key, files.cert,
                                                                             files.ca, 1));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_check_call_host(false);
    options.set_certificate_verifier(
        std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
    return grpc::experimental::TlsCredentials(options);
  }
  grpc::Status ask(const Credentials& credentials) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_), credentials, arguments);
    const auto stub = v1::State::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::ModelCard card;
    return stub->GetModelCard(&context, {}, &card);
  }

  TestAuthority authority_{::testing::TempDir() + "/credentials_test"};
  Card service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(CredentialsTest, ARouterGetsIn) {
  const auto status = ask(of_router(authority_.issue_role("router")));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(CredentialsTest, AnotherRoleDoesNot) {
  const auto status = ask(of_client(authority_.issue("w2", {{"URI:spiffe://test/worker"}})));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "a worker may not call /bessemer.v1.State/GetModelCard");
  const auto nobody = ask(of_client(authority_.issue("nobody", {{"DNS:localhost"}})));
  EXPECT_EQ(nobody.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(CredentialsTest, WithoutACertificateOfTheAuthorityThereIsNoConnection) {  // G1
  EXPECT_EQ(ask(grpc::InsecureChannelCredentials()).error_code(), grpc::StatusCode::UNAVAILABLE);
  const TestAuthority other(::testing::TempDir() + "/credentials_test_other");
  TlsFiles strange = other.issue_role("router");
  strange.ca = authority_.folder() + "/ca.crt";  // it believes the worker, who does not believe it
  EXPECT_EQ(ask(of_client(strange)).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(CredentialsTest, ARouterBelievesOnlyWorkers) {
  server_->Shutdown(std::chrono::system_clock::now());
  // Somebody of the same authority who is no worker stands where one was.
  const TlsFiles files = authority_.issue("impostor", {{"URI:spiffe://test/scraper"}});
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(files.key, files.cert,
                                                                           files.ca, 1));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::experimental::TlsServerCredentials(options),
                           &port_);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  EXPECT_EQ(ask(of_router(authority_.issue_role("router"))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(CredentialsTest, RotatedFilesAreReadAgain) {
  const Credentials old = of_router(authority_.issue_role("router"));
  ASSERT_TRUE(ask(old).ok());
  // Another authority, for everything: the files are replaced where they lie.
  const TestAuthority next(::testing::TempDir() + "/credentials_test");
  const TlsFiles router = next.issue_role("router");
  next.issue_role("worker");
  grpc::Status status;
  for (int i = 0; i < 100; i++) {
    status = ask(of_router(router));
    if (status.ok() && ask(old).ok()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  FAIL() << "never believed: " << status.error_message();
}

}  // namespace
}  // namespace bessemer
