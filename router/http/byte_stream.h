// A client's socket with TLS on it or without: reads and writes that never wait.
//
// Invariants
//   B1  The handshake happens inside of read(): until it is over nothing may be written, and nobody
//       has a reason to.
//   B2  After `again` the caller waits for the socket; while buffered() bytes wait above the socket,
//       which will not become readable for them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "router/http/tls_context.h"

namespace bessemer {

class ByteStream {
 public:
  // `session`: null for a plain socket.
  ByteStream(boost::asio::ip::tcp::socket socket, SslPtr session);

  enum class Outcome : uint8_t {
    done,        // `bytes` were read or written, at least one
    again,       // not now
    closed,      // the end, or an error after which there is nothing to say
    plain_text,  // a client that speaks HTTP where HTTPS is spoken; the stream is plain from now on
  };
  struct Result {
    Outcome outcome = Outcome::again;
    size_t bytes = 0;
  };
  Result read(char* to, size_t room);
  Result write(std::string_view bytes);

  // What a read that said `again` waits for: not always its own direction, in a handshake.
  boost::asio::socket_base::wait_type read_wait() const { return read_wait_; }
  bool buffered() const { return session_ != nullptr && SSL_pending(session_.get()) > 0; }
  // Bytes of requests may come: always, without TLS.
  bool established() const { return session_ == nullptr || SSL_is_init_finished(session_.get()); }
  // Tells the peer that nothing follows. False: the socket is broken.
  bool finish();

  boost::asio::ip::tcp::socket& socket() { return socket_; }
  const boost::asio::ip::tcp::socket& socket() const { return socket_; }

 private:
  Result read_tls(char* to, size_t room);
  boost::asio::ip::tcp::socket socket_;
  SslPtr session_;
  boost::asio::socket_base::wait_type read_wait_ = boost::asio::socket_base::wait_read;
};

}  // namespace bessemer
