#include "bench/mock_openai/openai_worker.h"

#include <algorithm>
#include <list>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "bench/mock_worker/mock_model.h"
#include "common/json.h"
#include "router/http/server.h"

namespace bessemer::bench {
namespace {

constexpr int64_t kDefaultTokens = 16;

HttpResponse json_answer(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

struct Answer {
  ExchangePtr exchange;
  bool stream = false, chat = false, gone = false;
  int64_t left = 0, tokens = 0;
  std::string text;  // of a whole answer
};

// The choice of a chunk or of a whole answer; `finish` as JSON.
std::string choice_of(const Answer& answer, const std::string& text, const char* finish) {
  if (!answer.chat)
    return fmt::format(R"({{"index":0,"text":"{}","logprobs":null,"finish_reason":{}}})", text,
                       finish);
  const char* const part = answer.stream ? "delta" : "message";
  return fmt::format(
      R"({{"index":0,"{}":{{"role":"assistant","content":"{}"}},"logprobs":null,"finish_reason":{}}})",
      part, text, finish);
}

std::string frame_of(const Answer& answer, const std::string& text, const char* finish) {
  const char* const object = answer.chat ? "chat.completion.chunk" : "text_completion";
  return fmt::format(
      "data: "
      "{{\"id\":\"cmpl-1\",\"object\":\"{}\",\"created\":1,\"model\":\"mock\",\"choices\":[{}]}}"
      "\n\n",
      object, choice_of(answer, text, finish));
}

std::string whole_of(const Answer& answer) {
  const char* const object = answer.chat ? "chat.completion" : "text_completion";
  return fmt::format(R"({{"id":"cmpl-1","object":"{}","created":1,"model":"mock","choices":[{}],)"
                     R"("usage":{{"prompt_tokens":1,"completion_tokens":{},"total_tokens":{}}}}})",
                     object, choice_of(answer, answer.text, "\"length\""), answer.tokens,
                     answer.tokens + 1);
}

class Worker final : public OpenAiWorker {
 public:
  explicit Worker(Duration step) : step_(step), server_(HttpServer::create({})) {}
  ~Worker() override {
    server_->stop();
    running_.clear();  // before the server that they answer through
  }

  Status start() {
    return server_->start(
        [this](ExchangePtr exchange) { handle(std::move(exchange)); },
        [](size_t, int status, std::string_view) { return json_answer(status, "{}"); });
  }
  uint16_t port() const override { return server_->port(); }

 private:
  void handle(ExchangePtr exchange);
  void tick();
  void step(Answer& answer, const std::string& token);

  const Duration step_;
  bool ticking_ = false;  // not while nothing runs
  std::list<Answer> running_;
  TimePoint next_{};
  std::unique_ptr<HttpServer> server_;  // its core uses all of the above
};

// What SGLang's and vLLM's servers say of themselves, as far as their routers look at it.
std::string facts_of(const std::string& path) {
  if (path == "/v1/models")
    return R"({"object":"list","data":[{"id":"mock","object":"model","created":1,"owned_by":"mock"}]})";
  return R"({"model_path":"mock","served_model_name":"mock","is_generation":true,"version":"1","status":"ok"})";
}

void Worker::handle(ExchangePtr exchange) {
  const HttpRequest& request = exchange->request();
  if (request.method == "GET") return exchange->respond(json_answer(200, facts_of(request.path)));
  const StatusOr<json::value> parsed = parse_json(request.body);
  if (!parsed.ok() || !parsed->is_object()) return exchange->respond(json_answer(400, "{}"));
  const json::object& body = parsed->get_object();
  const json::value* const stream = body.if_contains("stream");
  const json::value* const tokens = body.if_contains("max_tokens");
  Answer& answer = running_.emplace_back();
  answer.stream = stream != nullptr && stream->is_bool() && stream->get_bool();
  answer.chat = request.path == "/v1/chat/completions";
  answer.left = tokens != nullptr && tokens->is_int64() ? tokens->get_int64() : kDefaultTokens;
  answer.exchange = std::move(exchange);
  answer.exchange->on_abort([&answer](Abort) { answer.gone = true; });
  if (answer.stream) answer.exchange->begin_stream({});
  if (std::exchange(ticking_, true)) return;
  next_ = std::chrono::steady_clock::now() + step_;
  server_->cores().front()->after(step_, [this] { tick(); });
}

void Worker::tick() {
  const auto now = std::chrono::steady_clock::now();
  const int64_t us =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const std::string token = std::to_string(us % kTimedWindowUs) + ",";
  for (Answer& answer : running_) step(answer, token);
  running_.remove_if([](const Answer& answer) { return answer.gone || answer.left == 0; });
  ticking_ = !running_.empty();
  if (!ticking_) return;
  next_ = std::max(next_ + step_, now);
  server_->cores().front()->after(next_ - now, [this] { tick(); });
}

void Worker::step(Answer& answer, const std::string& token) {
  if (answer.gone) return;
  ++answer.tokens;
  const bool last = --answer.left == 0;
  if (!answer.stream) {
    answer.text += token;
    if (last) answer.exchange->respond(json_answer(200, whole_of(answer)));
    return;
  }
  answer.exchange->write(frame_of(answer, token, last ? "\"length\"" : "null"));
  if (last) answer.exchange->write("data: [DONE]\n\n");
  answer.exchange->flush();
  if (last) answer.exchange->end({});
}

}  // namespace

StatusOr<std::unique_ptr<OpenAiWorker>> OpenAiWorker::start(Duration step) {
  auto worker = std::make_unique<Worker>(step);
  RETURN_IF_ERROR(worker->start());
  return std::unique_ptr<OpenAiWorker>(std::move(worker));
}

}  // namespace bessemer::bench
