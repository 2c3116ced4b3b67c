// The HTTP front, byte by byte.
#include <thread>

#include "common/random.h"
#include "router/http/server.h"
#include "tests/router/router_fixture.h"

namespace bessemer {
namespace {

class HttpTest : public RouterTest {};

TEST_F(HttpTest, AnswersAndKeepsTheConnection) {
  start();
  HttpClient client(port());
  for (int i = 0; i < 3; i++) {
    client.send(get_request("/livez"));
    const auto response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.headers.at("connection"), "keep-alive");
    EXPECT_TRUE(response.headers.contains("date"));
  }
  client.send(get_request("/livez", "Connection: close\r\n"));
  EXPECT_EQ(client.read_response().headers.at("connection"), "close");
  EXPECT_TRUE(client.peer_closed());
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  add_worker();
  start();
  HttpClient client(port());
  std::string burst;
  for (int i = 0; i < 20; i++) {
    burst += get_request("/livez", "X-Request-Id: r" + std::to_string(i) + "\r\n");
    if (i == 10) burst += post_request("/v1/chat/completions", kChat, "X-Request-Id: chat\r\n");
  }
  client.send(burst);
  for (int i = 0; i < 20; i++) {
    EXPECT_EQ(client.read_response().headers["x-request-id"], "r" + std::to_string(i));
    if (i == 10) {
      EXPECT_EQ(client.read_response().headers["x-request-id"], "chat");
    }
  }
}

TEST_F(HttpTest, RequestIdsAreTheClientsWhenWellFormed) {
  start();
  EXPECT_EQ(http_get(port(), "/livez", "X-Request-Id: my-id.7\r\n").headers["x-request-id"],
            "my-id.7");
  const auto odd =
      http_get(port(), "/livez", "X-Request-Id: no spaces allowed\r\n").headers["x-request-id"];
  EXPECT_NE(odd, "no spaces allowed");
  EXPECT_FALSE(odd.empty());
}

TEST_F(HttpTest, HeadHasNoBody) {
  start();
  HttpClient client(port());
  client.send("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n" + get_request("/livez"));
  const auto head = client.read_response(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.headers.at("content-length"), "0");
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(HttpTest, OptionsListMethodsAndGiveNoCorsByDefault) {
  start();
  HttpClient client(port());
  client.send("OPTIONS /v1/models HTTP/1.1\r\nHost: a\r\nOrigin: http://evil\r\n\r\n");
  auto response = client.read_response();
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_FALSE(response.headers.contains("access-control-allow-origin"));
}

TEST_F(HttpTest, ConfiguredOriginsMayAsk) {
  config_.cors_origins = {"http://friend"};
  start();
  const auto plain = http_get(port(), "/livez", "Origin: http://friend\r\n");
  EXPECT_EQ(plain.headers.at("access-control-allow-origin"), "http://friend");
  EXPECT_FALSE(http_get(port(), "/livez", "Origin: http://foe\r\n")
                   .headers.contains("access-control-allow-origin"));
  HttpClient client(port());
  client.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: a\r\nOrigin: http://friend\r\n"
      "Access-Control-Request-Headers: authorization\r\n\r\n");
  const auto preflight = client.read_response();
  EXPECT_EQ(preflight.headers.at("access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "authorization");
}

TEST_F(HttpTest, UnknownPathsAndMethods) {
  start();
  expect_error(get("/nowhere"), 404, "invalid_request_error");
  const auto wrong = get("/v1/chat/completions");
  expect_error(wrong, 405, "invalid_request_error", "method_not_supported");
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
}

TEST_F(HttpTest, OversizedBodiesAndHeaders) {
  config_.max_body_bytes = 2000;
  start();
  expect_error(http_post(port(), "/v1/completions", std::string(2001, 'x')), 413,
               "invalid_request_error", "request_too_large");
  HttpClient client(port());
  client.send("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(40'000, 'a') + "\r\n\r\n");
  expect_error(client.read_response(), 431, "invalid_request_error");
  EXPECT_TRUE(client.peer_closed());
}

TEST_F(HttpTest, ExpectContinueIsAnsweredBeforeTheBody) {
  start();
  HttpClient client(port());
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_some(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("{}");
  EXPECT_EQ(client.read_response().status, 503);  // no worker, so no model
}

TEST_F(HttpTest, ExpectContinueOfTooMuchIsRefusedBeforeTheBody) {
  config_.max_body_bytes = 2000;
  start();
  HttpClient client(port());
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 2001\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 413);
}

TEST_F(HttpTest, GarbageIsRefusedWithTheApisError) {
  start();
  HttpClient client(port());
  client.send("\x16\x03\x01\x02 this is no HTTP\r\n\r\n");
  expect_error(client.read_response(), 400, "invalid_request_error");
  EXPECT_TRUE(client.peer_closed());
}

// The "body" of a request whose framing is in doubt must not be served as the next request.
TEST_F(HttpTest, NothingIsServedBehindDoubtfulFraming) {
  start();
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, gzip"}) {
    HttpClient client(port());
    client.send("POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + std::string(coding) +
                "\r\n\r\n" + get_request("/livez"));
    const auto response = client.read_response();
    EXPECT_TRUE(response.status == 400 || response.status == 501) << coding;
    EXPECT_EQ(response.headers.at("connection"), "close");
    EXPECT_EQ(client.read_all(), "") << coding;
  }
}

TEST_F(HttpTest, EndlessChunkLinesAreRefusedBeforeTheTimeOut) {
  start();
  for (const char* begin : {"1;", "0\r\nX: "}) {
    HttpClient client(port());
    client.send("POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                (begin + std::string(40'000, 'a')));
    expect_error(client.read_response(), 431, "invalid_request_error");
  }
}

TEST_F(HttpTest, RefusalsBearTheClientsId) {
  config_.max_body_bytes = 2000;
  config_.body_timeout_ms = 200;
  start();
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n";
  for (const auto& [rest, status] : std::initializer_list<std::pair<const char*, int>>{
           {"Content-Length: 2001\r\n\r\n", 413},
           {"Content-Length: 2\r\nExpect: magic\r\n\r\n", 417},
           {"Transfer-Encoding: gzip\r\n\r\n", 400},
           {"Content-Length: 2\r\n\r\n{", 408}}) {
    HttpClient client(port());
    client.send(head + rest);
    const auto response = client.read_response();
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.headers.at("x-request-id"), "mine") << status;
  }
}

TEST_F(HttpTest, ARefusalBehindAHeadHasItsBody) {
  start();
  HttpClient client(port());
  client.send("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response(true).status, 200);
  client.send("no HTTP at all\r\n\r\n");
  expect_error(client.read_response(), 400, "invalid_request_error");
}

TEST_F(HttpTest, ErrorsOfTheHttpLayerAreCounted) {
  config_.max_body_bytes = 2000;
  config_.body_timeout_ms = 200;
  start();
  const std::string post = "POST /tokenize HTTP/1.1\r\nHost: a\r\n";
  for (const std::string& text :
       {std::string("no HTTP\r\n\r\n"), post + "Content-Length: 2001\r\n\r\n",
        post + "Content-Length: 2\r\n\r\n{", post + "Expect: magic\r\nContent-Length: 2\r\n\r\n",
        post + "X: " + std::string(40'000, 'a') + "\r\n\r\n",
        post + "Transfer-Encoding: gzip, chunked\r\n\r\n"}) {
    HttpClient client(port());
    client.send(text);
    EXPECT_GE(client.read_response().status, 400);
  }
  const std::string metrics = get("/metrics").body;
  for (const int status : {400, 408, 413, 417, 431, 501}) {
    EXPECT_NE(metrics.find("bessemer_router_requests_total{endpoint=\"none\",status=\"" +
                           std::to_string(status) + "\"} 1\n"),
              std::string::npos)
        << status;
  }
}

// Each answer, and all of them together, while their readers take nothing.
TEST(HttpServer, AnswersAreBounded) {
  constexpr size_t kMiB = 1024 * 1024;
  HttpServerOptions options;
  options.limits.max_answer_bytes = 32 * kMiB;
  options.limits.max_answer_total_bytes = 40 * kMiB;
  const auto server = HttpServer::create(options);
  const auto answer = [](const ExchangePtr& exchange) {
    HttpResponse response;
    response.body.assign(std::stoul(exchange->request().path.substr(1)) * kMiB, 'a');
    exchange->respond(std::move(response));
  };
  const auto error = [](size_t, int status, std::string_view message) {
    HttpResponse response;
    response.status = status;
    response.body = std::string(message);
    return response;
  };
  ASSERT_TRUE(server->start(answer, error).ok());
  EXPECT_EQ(http_get(server->port(), "/32").body.size(), 32 * kMiB);
  const auto refused = http_get(server->port(), "/33");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find(std::to_string(32 * kMiB)), std::string::npos);
  HttpClient slow(server->port(), std::chrono::seconds(10), 4096);
  slow.send(get_request("/30"));
  EXPECT_EQ(slow.read_head().status, 200);
  EXPECT_EQ(http_get(server->port(), "/30").status, 503);
  EXPECT_EQ(http_get(server->port(), "/1").status, 200);
  slow.close();
  EXPECT_TRUE(eventually([&] { return http_get(server->port(), "/30").status == 200; }));
}

TEST_F(HttpTest, RandomBytesNeverHurt) {
  start();
  Random random(3);
  for (int i = 0; i < 200; i++) {
    std::string bytes(1 + random.below(3000), '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random.next());
    if (i % 3 == 0) bytes = "POST /v1/completions HTTP/1.1\r\n" + bytes;
    HttpClient client(port(), std::chrono::milliseconds(200));
    client.send(bytes);
    client.half_close();
    client.read_all();
  }
  EXPECT_EQ(get("/livez").status, 200);
}

TEST_F(HttpTest, SlowHeadersAndBodiesTimeOut) {
  config_.header_timeout_ms = 200;
  config_.body_timeout_ms = 300;
  start();
  HttpClient header(port()), body(port());
  header.send("GET /livez HTTP/1.1\r\nHost:");
  body.send("POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{");
  expect_error(header.read_response(), 408, "invalid_request_error");
  expect_error(body.read_response(), 408, "invalid_request_error");
}

TEST_F(HttpTest, IdleConnectionsAreClosedQuietly) {
  config_.idle_timeout_ms = 200;
  start();
  HttpClient client(port());
  client.send(get_request("/livez"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_all(), "");
  EXPECT_TRUE(client.peer_closed());
}

TEST_F(HttpTest, ConnectionsBeyondTheLimitAreTurnedAway) {
  config_.max_connections = 3;
  start();
  HttpClient a(port());
  ASSERT_TRUE(eventually([&] {  // those of start() are gone
    a.send(get_request("/metrics"));
    return a.read_response().body.find("bessemer_router_connections 1") != std::string::npos;
  }));
  HttpClient b(port()), c(port());
  for (HttpClient* client : {&b, &c}) {
    client->send(get_request("/livez"));
    EXPECT_EQ(client->read_response().status, 200);
  }
  HttpClient d(port());
  expect_error(d.read_response(), 503, "service_unavailable");
  a.send(get_request("/metrics"));
  EXPECT_EQ(a.read_response().body.find("bessemer_router_turned_away_total 0\n"),
            std::string::npos);
  a.close();
  EXPECT_TRUE(eventually([&] { return get("/livez").status == 200; }));
}

TEST_F(HttpTest, OldClientsGetAPlainStream) {
  add_worker();
  start();
  HttpClient client(port());
  const std::string body = kChatStream;
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const auto response = client.read_response();
  EXPECT_EQ(response.headers.at("connection"), "close");
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(HttpTest, ManyConnectionsSpreadOverTheCores) {
  add_worker();
  start();
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 32; i++) {
    clients.push_back(std::make_unique<HttpClient>(port()));
    clients.back()->send(post_request("/v1/chat/completions", kChat));
  }
  for (auto& client : clients) EXPECT_EQ(client->read_response().status, 200);
}

TEST_F(HttpTest, PagesAndHealth) {
  start();
  EXPECT_EQ(get("/health").status, 503);
  EXPECT_EQ(get("/readyz").status, 200);
  const auto page = get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.body.find("Bessemer"), std::string::npos);
  EXPECT_TRUE(page.headers.at("content-type").starts_with("text/html"));
  EXPECT_TRUE(parse(get("/version").body).at("version").is_string());
}

TEST_F(HttpTest, DrainingFailsReadyAndClosesConnections) {
  add_worker();
  start();
  HttpClient idle(port()), busy(port());
  idle.send(get_request("/readyz"));
  EXPECT_EQ(idle.read_response().status, 200);
  busy.send(post_request("/v1/chat/completions", kLongStream));
  EXPECT_EQ(busy.read_head().status, 200);
  EXPECT_FALSE(busy.read_event().empty());
  router_->begin_drain();
  EXPECT_TRUE(idle.peer_closed());
  EXPECT_FALSE(HttpClient(port()).connected());
  EXPECT_FALSE(busy.read_event().empty());  // it goes on
  router_->abort_requests();
  std::string last, event;
  for (event = busy.read_event(); !event.empty() && event != "[DONE]"; event = busy.read_event())
    last = event;
  EXPECT_EQ(event, "[DONE]");
  EXPECT_EQ(parse(last).at("error").at("type"), "service_unavailable");
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 0; }));
}

// A request counts from its first byte until its answer has left: a drain waits for both ends.
TEST_F(HttpTest, DrainingWaitsForUploadsAndSlowReaders) {
  add_worker();
  start();
  std::string ids = "1";  // a control token, spelt out in 12 bytes: an answer of 24 MB
  while (ids.size() < 2'000'000) ids += ",1";
  HttpClient upload(port()), endless(port());
  HttpClient reader(port(), std::chrono::seconds(10), 1 << 18);
  const std::string late = post_request("/v1/chat/completions", kChat);
  upload.send(late.substr(0, late.size() - 5));
  endless.send(late.substr(0, late.size() - 5));
  reader.send(post_request("/detokenize", R"({"tokens":[)" + ids + "]}"));
  EXPECT_EQ(reader.read_head().status, 200);
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 3; }));
  router_->begin_drain();
  upload.send(late.substr(late.size() - 5));
  const auto answered = upload.read_response();
  EXPECT_EQ(answered.status, 200);
  EXPECT_EQ(answered.headers.at("connection"), "close");
  upload.close();
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 2; }));
  EXPECT_GT(reader.read_all().size(), 20'000'000u);
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 1; }));
  router_->abort_requests();
  expect_error(endless.read_response(), 503, "service_unavailable");
  endless.close();
  EXPECT_TRUE(eventually([&] { return router_->live_requests() == 0; }));
}

}  // namespace
}  // namespace bessemer
