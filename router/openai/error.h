// The one shape of errors: {"error": {"message", "type", "param", "code"}} with its HTTP status.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace bessemer {

struct ApiError {
  int status = 500;
  std::string message;
  std::string type = "server_error";
  std::optional<std::string> param, code;
  std::optional<int> retry_after_ms;  // becomes Retry-After and retry-after-ms
  bool retryable = true;              // false adds x-should-retry: false
};

// 400 invalid_request_error naming `param`.
ApiError bad_request(std::string message, std::string param, std::string code = "invalid_value");
// 400 for a body that is no JSON object at all: no param, no code.
ApiError malformed_body(std::string message);
ApiError unsupported_parameter(std::string param, std::string why);
ApiError missing_parameter(std::string param);
// wanted_tokens: what the answer may have; 0 when the prompt alone is too long.
ApiError context_length_exceeded(int64_t prompt_tokens, int64_t wanted_tokens,
                                 int64_t max_model_len, std::string param);
// 401.
ApiError invalid_api_key(std::string message);
ApiError model_not_found(const std::string& model);
ApiError url_not_found(const std::string& method, const std::string& path);
ApiError method_not_supported(const std::string& method, const std::string& path);
ApiError body_too_large(size_t limit_bytes);
// `retryable`: false where the same request would fail again.
ApiError server_error(std::string message, bool retryable = true);
ApiError unavailable(std::string message, int retry_after_ms);
ApiError overloaded(std::string message, int retry_after_ms);
ApiError deadline_exceeded();
// 400 for a request that is well formed but cannot be carried out: no param, no code.
ApiError impossible_request(std::string message);

// {"error": {...}} on one line; always valid UTF-8, whatever a path or header that the message
// quotes was made of.
std::string render_error(const ApiError& error);

}  // namespace bessemer
