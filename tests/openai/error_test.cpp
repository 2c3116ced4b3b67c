#include "router/openai/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json.h"
#include "router/openai/render.h"

namespace bessemer {
namespace {

using ::testing::HasSubstr;

TEST(ApiError, always_has_its_four_keys) {
  EXPECT_EQ(render_error(bad_request("m", "p", "c")),
            R"({"error":{"message":"m","type":"invalid_request_error","param":"p","code":"c"}})");
  EXPECT_EQ(render_error(malformed_body("m")),
            R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})");
}

struct ErrorCase {
  const char* name;
  ApiError error;
  int status;
  const char* type;
  std::optional<std::string> code;
};

TEST(ApiError, the_table) {
  const ErrorCase cases[] = {
      {"bad_request", bad_request("m", "p"), 400, "invalid_request_error", "invalid_value"},
      {"unsupported", unsupported_parameter("p", "w"), 400, "invalid_request_error",
       "unsupported_parameter"},
      {"missing", missing_parameter("p"), 400, "invalid_request_error",
       "missing_required_parameter"},
      {"context", context_length_exceeded(10, 5, 8, "messages"), 400, "invalid_request_error",
       "context_length_exceeded"},
      {"model", model_not_found("x"), 404, "invalid_request_error", "model_not_found"},
      {"url", url_not_found("GET", "/x"), 404, "invalid_request_error", std::nullopt},
      {"method", method_not_supported("PUT", "/x"), 405, "invalid_request_error",
       "method_not_supported"},
      {"too large", body_too_large(5), 413, "invalid_request_error", "request_too_large"},
      {"overloaded", overloaded("m", 100), 429, "requests", "rate_limit_exceeded"},
      {"server", server_error("m"), 500, "server_error", std::nullopt},
      {"unavailable", unavailable("m", 100), 503, "service_unavailable", std::nullopt},
      {"deadline", deadline_exceeded(), 504, "server_error", "deadline_exceeded"},
  };
  for (const ErrorCase& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(c.error.status, c.status);
    EXPECT_EQ(c.error.type, c.type);
    EXPECT_EQ(c.error.code, c.code);
    EXPECT_EQ(c.error.retry_after_ms.has_value(), c.status == 429 || c.status == 503);
    EXPECT_TRUE(parse_json(render_error(c.error)).ok());
  }
}

TEST(ApiError, a_full_context_names_its_numbers) {
  EXPECT_THAT(
      context_length_exceeded(9000, 500, 8192, "messages").message,
      ::testing::AllOf(HasSubstr("8192"), HasSubstr("9500"), HasSubstr("9000"), HasSubstr("500")));
  EXPECT_THAT(context_length_exceeded(9000, 0, 8192, "messages").message,
              ::testing::AllOf(HasSubstr("8192"), HasSubstr("9000")));
}

TEST(ApiError, bytes_of_a_path_cannot_break_the_json) {
  const std::string body = render_error(url_not_found("GET", "/\xFF\"\n"));
  const StatusOr<json::value> parsed = parse_json(body);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_THAT(body, HasSubstr("/\xEF\xBF\xBD\\\"\\n"));
}

TEST(ApiError, a_failed_stream_still_ends) {
  EXPECT_EQ(render_stream_error(server_error("gone")),
            "data: "
            "{\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,\"code\":"
            "null}}\n\n"
            "data: [DONE]\n\n");
}

}  // namespace
}  // namespace bessemer
