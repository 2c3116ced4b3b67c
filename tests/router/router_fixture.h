// A router with mock workers in this process.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bench/mock_worker/mock_worker.h"
#include "common/json.h"
#include "router/router.h"
#include "tests/router/http_client.h"

namespace bessemer {

// True once `condition` holds; polls for up to `limit`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(10));

class RouterTest : public ::testing::Test {
 protected:
  RouterTest();
  // The workers found nothing wrong with what they were asked for (MockWorker::complaints).
  void TearDown() override;

  MockWorker& add_worker(const MockWorkerOptions& options);
  MockWorker& add_worker() { return add_worker(mock_); }
  // Starts the router over the workers so far and waits until all of its cores have all of them.
  void start();
  uint16_t port() const { return router_->port(); }

  ClientResponse post(std::string_view path, std::string_view body) {
    return http_post(port(), path, body);
  }
  ClientResponse get(std::string_view path) { return http_get(port(), path); }
  size_t ready_workers();
  static size_t ready_workers(const ClientResponse& state);
  bool every_core_is_ready();
  double metric(const std::string& name);  // sum over its labels

  RouterConfig config_;
  MockWorkerOptions mock_;
  std::vector<std::unique_ptr<MockWorker>> workers_;
  std::unique_ptr<Router> router_;
};

json::value parse(const std::string& text);
// Expects API.md's shape: all four keys, of the right types.
void expect_error(const ClientResponse& response, int status, const std::string& type,
                  const std::string& code = "");

constexpr const char* kChat =
    R"({"model":"mock","max_tokens":8,"messages":[{"role":"user","content":"hi"}]})";
constexpr const char* kChatStream =
    R"({"model":"mock","max_tokens":8,"stream":true,"messages":[{"role":"user","content":"hi"}]})";
// Never ends by itself within a test.
constexpr const char* kLongStream =
    R"({"model":"mock","max_tokens":30000,"stream":true,"messages":[{"role":"user","content":"hi"}]})";

}  // namespace bessemer
