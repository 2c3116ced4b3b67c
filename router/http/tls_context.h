// The front's certificate: what a new connection's TLS session is made from. Replaced as a whole on
// rotation; connections that exist keep the one they began with.
//
// Invariants
//   T1  TLS 1.2 at least, no renegotiation, no compression; of protocols only http/1.1 (ALPN): a
//       client that offers others only is refused in the handshake (RFC 7301, 3.2).
//   T2  A reload that fails changes nothing.
#pragma once
#include <atomic>
#include <memory>

#include <openssl/ssl.h>

#include "common/status.h"
#include "common/tls_files.h"

namespace bessemer {

struct FreeSsl {
  void operator()(SSL* session) const { SSL_free(session); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

class TlsContext {
 public:
  static StatusOr<std::shared_ptr<TlsContext>> create(TlsFiles files);

  // Reads the files again. Any thread.
  Status reload();
  // The server's side of a session on `descriptor`, before its handshake. Any thread.
  SslPtr make_session(int descriptor) const;

 private:
  explicit TlsContext(TlsFiles files) : files_(std::move(files)) {}
  const TlsFiles files_;
  std::atomic<std::shared_ptr<SSL_CTX>> context_;
};

}  // namespace bessemer
