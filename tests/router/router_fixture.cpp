#include "tests/router/router_fixture.h"

#include <algorithm>
#include <thread>

#include <absl/synchronization/mutex.h>

#include "common/log.h"

namespace bessemer {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

RouterTest::RouterTest() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  log().set_level(LogLevel::off);
  config_.port = 0;
  config_.threads = 2;
  mock_.timing.step_us = 1000;
  mock_.timing.prefill_tok_s = 1e6;
}

void RouterTest::TearDown() {
  router_.reset();
  for (const auto& worker : workers_) {
    if (worker == nullptr) continue;  // a test has killed it
    for (const std::string& one : worker->complaints().kept()) ADD_FAILURE() << one;
  }
  workers_.clear();
}

MockWorker& RouterTest::add_worker(const MockWorkerOptions& options) {
  auto worker = MockWorker::start(options);
  EXPECT_TRUE(worker.ok()) << worker.status();
  workers_.push_back(*std::move(worker));
  config_.workers.push_back(workers_.back()->address());
  return *workers_.back();
}

void RouterTest::start() {
  auto router = Router::start(config_);
  ASSERT_TRUE(router.ok()) << router.status();
  router_ = *std::move(router);
  ASSERT_TRUE(eventually([&] { return every_core_is_ready(); }));
}

// Each core has its own copy of the view. Connections that are open at once spread over the cores.
bool RouterTest::every_core_is_ready() {
  const int count = std::min(2 * config_.threads, config_.max_connections - 1);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < count; i++) {
    clients.push_back(std::make_unique<HttpClient>(port()));
    clients.back()->send(get_request("/bessemer/state"));
    const auto response = clients.back()->read_response();
    if (response.status != 200 || ready_workers(response) != workers_.size()) return false;
  }
  return true;
}

size_t RouterTest::ready_workers() {
  return ready_workers(get("/bessemer/state"));
}

size_t RouterTest::ready_workers(const ClientResponse& response) {
  const auto state = parse(response.body);
  size_t ready = 0;
  for (const auto& worker : state.at("workers").as_array())
    ready += worker.at("state") == "ready" ? 1 : 0;
  return ready;
}

double RouterTest::metric(const std::string& name) {
  const std::string text = get("/metrics").body;
  double total = 0;
  for (size_t at = text.find("\n" + name); at != std::string::npos;
       at = text.find("\n" + name, at + 1)) {
    const char behind = text[at + 1 + name.size()];
    if (behind != ' ' && behind != '{') continue;
    const size_t end = text.find('\n', at + 1);
    const size_t space = text.rfind(' ', end);
    total += std::stod(text.substr(space + 1, end - space));
  }
  return total;
}

json::value parse(const std::string& text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << value.status() << "\n" << text;
  return value.ok() ? *value : json::value();
}

void expect_error(const ClientResponse& response, int status, const std::string& type,
                  const std::string& code) {
  EXPECT_EQ(response.status, status) << response.body;
  EXPECT_TRUE(response.complete);
  EXPECT_TRUE(response.headers.contains("x-request-id"));
  const auto body = parse(response.body);
  ASSERT_TRUE(body.is_object() && body.as_object().contains("error")) << response.body;
  const auto& error = body.at("error").as_object();
  ASSERT_EQ(error.size(), 4u) << response.body;
  EXPECT_TRUE(error.at("message").is_string());
  EXPECT_FALSE(error.at("message").as_string().empty());
  EXPECT_EQ(error.at("type"), json::value(type)) << response.body;
  EXPECT_TRUE(error.at("param").is_string() || error.at("param").is_null());
  if (code.empty()) {
    EXPECT_TRUE(error.at("code").is_null()) << response.body;
  } else {
    EXPECT_EQ(error.at("code"), json::value(code)) << response.body;
  }
}

}  // namespace bessemer
