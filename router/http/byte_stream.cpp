#include "router/http/byte_stream.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <openssl/err.h>

namespace bessemer {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

}  // namespace

ByteStream::ByteStream(asio::ip::tcp::socket socket, SslPtr session)
    : socket_(std::move(socket)), session_(std::move(session)) {}

ByteStream::Result ByteStream::read(char* to, size_t room) {
  if (session_ != nullptr) return read_tls(to, room);
  error_code error;
  const size_t count = socket_.read_some(asio::buffer(to, room), error);
  if (error == asio::error::would_block) return {Outcome::again, 0};
  if (error || count == 0) return {Outcome::closed, 0};
  return {Outcome::done, count};
}

ByteStream::Result ByteStream::read_tls(char* to, size_t room) {
  ERR_clear_error();
  read_wait_ = asio::socket_base::wait_read;
  size_t count = 0;
  const int code = SSL_read_ex(session_.get(), to, room, &count);
  if (code == 1) return {Outcome::done, count};
  switch (SSL_get_error(session_.get(), code)) {
    case SSL_ERROR_WANT_WRITE:
      read_wait_ = asio::socket_base::wait_write;
      return {Outcome::again, 0};
    case SSL_ERROR_WANT_READ:
      return {Outcome::again, 0};
    default:
      break;
  }
  const bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST && !established();
  ERR_clear_error();
  if (!plain) return {Outcome::closed, 0};
  session_.reset();
  return {Outcome::plain_text, 0};
}

ByteStream::Result ByteStream::write(std::string_view bytes) {
  if (session_ == nullptr) {
    error_code error;
    const size_t count = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
    if (error == asio::error::would_block) return {Outcome::again, 0};
    if (error) return {Outcome::closed, 0};
    return {Outcome::done, count};
  }
  ERR_clear_error();
  size_t count = 0;
  const int code = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &count);
  if (code == 1) return {Outcome::done, count};
  const int why = SSL_get_error(session_.get(), code);
  ERR_clear_error();
  return {why == SSL_ERROR_WANT_WRITE ? Outcome::again : Outcome::closed, 0};
}

bool ByteStream::finish() {
  if (session_ != nullptr && established()) {
    ERR_clear_error();
    SSL_shutdown(session_.get());  // our close_notify; whether the peer's comes does not matter
    ERR_clear_error();
  }
  error_code error;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
  return !error;
}

}  // namespace bessemer
