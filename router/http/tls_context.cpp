#include "router/http/tls_context.h"

#include <array>
#include <csignal>
#include <mutex>

#include <openssl/err.h>

namespace bessemer {
namespace {

// As ALPN writes it: a length and a name.
constexpr std::array<unsigned char, 9> kProtocols = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length,
                    const unsigned char* offered, unsigned offered_bytes, void*) {
  unsigned char* found = nullptr;
  const int outcome = SSL_select_next_proto(&found, length, kProtocols.data(), kProtocols.size(),
                                            offered, offered_bytes);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status use_identity(SSL_CTX* context, const TlsIdentity& identity) {
  bool used = SSL_CTX_use_certificate(context, identity.chain.front().get()) == 1;
  for (size_t i = 1; i < identity.chain.size(); i++)
    used = used && SSL_CTX_add1_chain_cert(context, identity.chain[i].get()) == 1;
  used = used && SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1;
  if (used) return absl::OkStatus();
  const char* reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(std::string("OpenSSL takes no such certificate: ") +
                                    (reason == nullptr ? "unknown error" : reason));
}

StatusOr<std::shared_ptr<SSL_CTX>> make_context(const TlsFiles& files) {
  ASSIGN_OR_RETURN(const TlsIdentity identity, read_identity(files));
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  // A socket takes what it can, from a buffer that may have moved when the rest is written; an idle
  // connection gives its 32 KiB of buffers back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  RETURN_IF_ERROR(use_identity(context.get(), identity));
  return context;
}

}  // namespace

StatusOr<std::shared_ptr<TlsContext>> TlsContext::create(TlsFiles files) {
  // OpenSSL writes to sockets without MSG_NOSIGNAL: a client that is gone must not end the process.
  static std::once_flag once;
  std::call_once(once, [] { std::signal(SIGPIPE, SIG_IGN); });
  std::shared_ptr<TlsContext> tls(new TlsContext(std::move(files)));
  RETURN_IF_ERROR(tls->reload());
  return tls;
}

Status TlsContext::reload() {
  ASSIGN_OR_RETURN(auto context, make_context(files_));
  context_.store(std::move(context));
  return absl::OkStatus();
}

SslPtr TlsContext::make_session(int descriptor) const {
  SslPtr session(SSL_new(context_.load().get()));
  SSL_set_fd(session.get(), descriptor);
  SSL_set_accept_state(session.get());
  return session;
}

}  // namespace bessemer
