// One GET to the API server of Kubernetes over HTTPS, on a connection of its own: the token and the
// server's certificate authority are read from their files each time, since both are rotated.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "common/status.h"
#include "router/discovery/kubernetes_options.h"

namespace bessemer {

// A page of 100 slices of 100 endpoints has about 5 MB; one slice may have 1,000 endpoints.
constexpr size_t kMaxApiBodyBytes = size_t{64} << 20;
constexpr size_t kMaxApiLineBytes = size_t{4} << 20;

class ApiRequest {
 public:
  virtual ~ApiRequest() = default;
  // The body of an answer with status 200. OutOfRange: 410, what was asked for is too old.
  // PermissionDenied: 401 or 403, with what to do. Others name what failed.
  virtual boost::asio::awaitable<StatusOr<std::string>> get(std::string target) = 0;
  // Hands each line of the body to `on_line`, until the server ends the answer (OK), an error, or
  // the first line that is refused (its status).
  virtual boost::asio::awaitable<Status> watch(std::string target,
                                               std::function<Status(std::string_view)> on_line) = 0;
  // What is under way ends with an error.
  virtual void cancel() = 0;
};

// For one call of get() or watch(). The error names the file that cannot be used.
StatusOr<std::shared_ptr<ApiRequest>> make_api_request(boost::asio::io_context& io,
                                                       const KubernetesOptions& options);

// The file of `options.credentials` without white space around it.
StatusOr<std::string> read_credential(const KubernetesOptions& options, const std::string& name);

// `text` with all but letters, digits and -._~ as %XX, for a query (RFC 3986).
std::string percent_encoded(std::string_view text);

}  // namespace bessemer
