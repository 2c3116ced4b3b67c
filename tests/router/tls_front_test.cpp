// HTTPS at the front, by a client that is nothing but OpenSSL over a blocking socket.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "router/http/server.h"
#include "router/http/tls_context.h"
#include "tests/router/http_client.h"
#include "tests/support/certificates.h"

namespace bessemer {
namespace {

using std::chrono::milliseconds;

struct ClientWish {
  std::string protocols = "\x08http/1.1";  // ALPN
  int newest = TLS1_3_VERSION;
};

class TlsClient {
 public:
  explicit TlsClient(uint16_t port, const ClientWish& wish = {})
      : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_security_level(context_,
                               0);  // or OpenSSL would not even offer what must be refused
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, wish.newest);
    SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(wish.protocols.data()),
                            static_cast<unsigned>(wish.protocols.size()));
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    const timeval limit{10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    session_ = SSL_new(context_);
    SSL_set_fd(session_, socket_);
  }
  ~TlsClient() {
    SSL_free(session_);
    SSL_CTX_free(context_);
    close(socket_);
  }
  TlsClient(const TlsClient&) = delete;

  bool shake_hands() { return SSL_connect(session_) == 1; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(session_, &name, &length);
    return {reinterpret_cast<const char*>(name), length};
  }
  std::string peer_name() const {
    const X509Ptr peer(SSL_get1_peer_certificate(session_));
    char name[256] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer.get()), NID_commonName, name, sizeof name);
    return name;
  }
  void send(std::string_view bytes) {
    EXPECT_EQ(SSL_write(session_, bytes.data(), static_cast<int>(bytes.size())),
              static_cast<int>(bytes.size()));
  }
  // Until `text` has come `times` times; "" when the connection ends before.
  std::string read_until(std::string_view text, int times = 1) {
    std::string all;
    char piece[4096];
    size_t from = 0;
    while (true) {
      for (size_t at; (at = all.find(text, from)) != std::string::npos; from = at + text.size())
        if (--times == 0) return all;
      from = std::max(from, all.size() < text.size() ? 0 : all.size() - text.size() + 1);
      const int count = SSL_read(session_, piece, sizeof piece);
      if (count <= 0) return "";
      all.append(piece, static_cast<size_t>(count));
    }
  }
  bool says_goodbye() {  // close_notify, not just the end of the connection
    char byte = 0;
    const int count = SSL_read(session_, &byte, 1);
    return count <= 0 && SSL_get_error(session_, count) == SSL_ERROR_ZERO_RETURN;
  }

 private:
  SSL_CTX* context_;
  SSL* session_ = nullptr;
  int socket_ = -1;
};

class TlsFrontTest : public ::testing::Test {
 protected:
  TlsFrontTest() {
    HttpServerOptions options;
    options.cores = 2;
    options.limits.header_timeout = milliseconds(400);
    options.tls = tls_;
    server_ = HttpServer::create(options);
    const Status status =
        server_->start([this](ExchangePtr exchange) { answer(exchange); },
                       [](size_t, int code, std::string_view message) {
                         return HttpResponse{code, "text/plain", std::string(message), {}};
                       });
    EXPECT_TRUE(status.ok()) << status;
  }
  ~TlsFrontTest() override { server_->stop(); }

  void answer(const ExchangePtr& exchange) {
    const std::string path = exchange->request().path;
    if (path == "/length")
      return exchange->respond(
          {200, "text/plain", std::to_string(exchange->request().body.size()) + " bytes", {}});
    if (path == "/large")
      return exchange->respond({200, "text/plain", std::string(3'000'000, 'x') + "END", {}});
    if (path != "/slow") return exchange->respond({200, "text/plain", "done", {}});
    server_->cores()[exchange->core()]->after(
        milliseconds(50), [exchange] { exchange->respond({200, "text/plain", "done", {}}); });
  }
  uint16_t port() const { return server_->port(); }

  TestAuthority authority_{::testing::TempDir() + "/tls_front_test"};
  TlsFiles files_ = authority_.issue("front", {{"DNS:localhost"}});
  std::shared_ptr<TlsContext> tls_ = *TlsContext::create(files_);
  std::unique_ptr<HttpServer> server_;
};

TEST_F(TlsFrontTest, RequestsOneAfterTheOther) {
  TlsClient client(port());
  ASSERT_TRUE(client.shake_hands());
  EXPECT_EQ(client.protocol(), "http/1.1");
  for (int i = 0; i < 3; i++) {
    client.send(get_request("/whole"));
    EXPECT_NE(client.read_until("done").find("HTTP/1.1 200 "), std::string::npos);
  }
  client.send(get_request("/whole", "Connection: close\r\n"));
  EXPECT_NE(client.read_until("done"), "");
  EXPECT_TRUE(client.says_goodbye());
}

TEST_F(TlsFrontTest, LargeBodiesBothWays) {
  TlsClient client(port());
  ASSERT_TRUE(client.shake_hands());
  client.send(post_request("/length", std::string(2'000'000, 'y')));
  EXPECT_NE(client.read_until("2000000 bytes"), "");
  client.send(get_request("/large"));
  EXPECT_GT(client.read_until("END").size(), 3'000'000u);
}

// More than is read ahead, in records that do not end where requests do: what TLS has decrypted and
// nobody has taken yet is not forgotten.
TEST_F(TlsFrontTest, PipelinedBeyondTheReadAhead) {
  std::string all;
  int requests = 0;
  for (; all.size() < 60'000; requests++)
    all += get_request("/slow", "X-Filling: " + std::string(6'000, 'z') + "\r\n");
  TlsClient client(port());
  ASSERT_TRUE(client.shake_hands());
  client.send(all);
  EXPECT_NE(client.read_until("done", requests), "");
}

TEST_F(TlsFrontTest, OldVersionsAndOtherProtocolsAreRefused) {
  TlsClient old(port(), {.newest = TLS1_1_VERSION});
  EXPECT_FALSE(old.shake_hands());
  TlsClient twelve(port(), {.newest = TLS1_2_VERSION});
  EXPECT_TRUE(twelve.shake_hands());
  TlsClient h2(port(), {.protocols = "\x02h2"});
  EXPECT_FALSE(h2.shake_hands());
  TlsClient both(port(), {.protocols = "\x02h2\x08http/1.1"});
  EXPECT_TRUE(both.shake_hands());
  EXPECT_EQ(both.protocol(), "http/1.1");
  TlsClient neither(port(), {.protocols = ""});
  EXPECT_TRUE(neither.shake_hands());
}

TEST_F(TlsFrontTest, PlainHttpIsToldWhatIsSpokenHere) {
  const ClientResponse response = http_get(port(), "/whole");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, "this port speaks HTTPS: write https:// in front of its address");
}

TEST_F(TlsFrontTest, WhoDoesNotShakeHandsIsLeft) {
  HttpClient silent(port(), std::chrono::seconds(5)), noisy(port(), std::chrono::seconds(5));
  noisy.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9));
  EXPECT_TRUE(noisy.peer_closed());
  EXPECT_TRUE(silent.peer_closed());
  HttpClient garbage(port(), std::chrono::seconds(5));
  garbage.send(std::string(4096, '\0'));
  EXPECT_TRUE(garbage.peer_closed());
  TlsClient client(port());
  EXPECT_TRUE(client.shake_hands());
}

TEST_F(TlsFrontTest, ARotatedCertificateIsForConnectionsToCome) {
  TlsClient before(port());
  ASSERT_TRUE(before.shake_hands());
  authority_.issue("other", {});
  std::rename((authority_.folder() + "/other.crt").c_str(), files_.cert.c_str());
  EXPECT_FALSE(tls_->reload().ok());  // T2: the key is not its
  TlsClient meanwhile(port());
  ASSERT_TRUE(meanwhile.shake_hands());
  EXPECT_EQ(meanwhile.peer_name(), "front");
  std::rename((authority_.folder() + "/other.key").c_str(), files_.key.c_str());
  EXPECT_TRUE(tls_->reload().ok());
  TlsClient after(port());
  ASSERT_TRUE(after.shake_hands());
  EXPECT_EQ(after.peer_name(), "other");
  before.send(get_request("/whole"));
  EXPECT_NE(before.read_until("done"), "");
}

}  // namespace
}  // namespace bessemer
