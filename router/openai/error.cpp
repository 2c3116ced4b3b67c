#include "router/openai/error.h"

#include <utility>

#include <fmt/format.h>

#include "router/openai/json_text.h"

namespace bessemer {
namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";

ApiError client_error(int status, std::string message, std::optional<std::string> param,
                      std::optional<std::string> code) {
  ApiError error;
  error.status = status;
  error.message = std::move(message);
  error.type = kInvalidRequest;
  error.param = std::move(param);
  error.code = std::move(code);
  return error;
}

void append_optional(std::string& out, const std::optional<std::string>& text) {
  if (text) {
    append_json_string(out, *text);
  } else {
    out += "null";
  }
}

}  // namespace

ApiError bad_request(std::string message, std::string param, std::string code) {
  return client_error(400, std::move(message), std::move(param), std::move(code));
}

ApiError malformed_body(std::string message) {
  return client_error(400, std::move(message), std::nullopt, std::nullopt);
}

ApiError unsupported_parameter(std::string param, std::string why) {
  std::string message = "'" + param + "' is not supported: " + why;
  return bad_request(std::move(message), std::move(param), "unsupported_parameter");
}

ApiError missing_parameter(std::string param) {
  std::string message = "'" + param + "' is required.";
  return bad_request(std::move(message), std::move(param), "missing_required_parameter");
}

ApiError context_length_exceeded(int64_t prompt_tokens, int64_t wanted_tokens,
                                 int64_t max_model_len, std::string param) {
  std::string message =
      wanted_tokens > 0
          ? fmt::format(
                "This model's context is {} tokens, but {} were asked for: {} in the prompt and {} "
                "for the answer. "
                "Shorten the prompt or ask for fewer.",
                max_model_len, prompt_tokens + wanted_tokens, prompt_tokens, wanted_tokens)
          : fmt::format(
                "This model's context is {} tokens, but the prompt has {}. Shorten the prompt.",
                max_model_len, prompt_tokens);
  return bad_request(std::move(message), std::move(param), "context_length_exceeded");
}

ApiError invalid_api_key(std::string message) {
  return client_error(401, std::move(message), std::nullopt, "invalid_api_key");
}

ApiError model_not_found(const std::string& model) {
  return client_error(
      404, "The model '" + model + "' is not served here. GET /v1/models lists those that are.",
      "model", "model_not_found");
}

ApiError url_not_found(const std::string& method, const std::string& path) {
  return client_error(404, "Unknown URL: " + method + " " + path, std::nullopt, std::nullopt);
}

ApiError method_not_supported(const std::string& method, const std::string& path) {
  return client_error(405, path + " does not take " + method + ".", std::nullopt,
                      "method_not_supported");
}

ApiError body_too_large(size_t limit_bytes) {
  return client_error(
      413,
      fmt::format("The body is larger than {} bytes, the most this server takes.", limit_bytes),
      std::nullopt, "request_too_large");
}

ApiError server_error(std::string message, bool retryable) {
  ApiError error;
  error.message = std::move(message);
  error.retryable = retryable;
  return error;
}

ApiError unavailable(std::string message, int retry_after_ms) {
  ApiError error;
  error.status = 503;
  error.message = std::move(message);
  error.type = "service_unavailable";
  error.retry_after_ms = retry_after_ms;
  return error;
}

ApiError overloaded(std::string message, int retry_after_ms) {
  ApiError error;
  error.status = 429;
  error.message = std::move(message);
  error.type = "requests";
  error.code = "rate_limit_exceeded";
  error.retry_after_ms = retry_after_ms;
  return error;
}

ApiError impossible_request(std::string message) {
  return client_error(400, std::move(message), std::nullopt, std::nullopt);
}

ApiError deadline_exceeded() {
  ApiError error;
  error.status = 504;
  error.message = "The request took longer than this server allows.";
  error.code = "deadline_exceeded";
  error.retryable =
      false;  // the client's time is up: a retry by itself would start over behind its back
  return error;
}

std::string render_error(const ApiError& error) {
  std::string out = R"({"error":{"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  append_json_string(out, error.type);
  out += R"(,"param":)";
  append_optional(out, error.param);
  out += R"(,"code":)";
  append_optional(out, error.code);
  out += "}}";
  return out;
}

}  // namespace bessemer
