// Requests through a router to mock workers and back.
#include <set>
#include <thread>

#include "common/log.h"
#include "tests/router/router_fixture.h"

namespace bessemer {
namespace {

std::string completion(const std::string& more) {
  return R"({"model":"mock","prompt":"hello",)" + more + "}";
}

class GenerationTest : public RouterTest {
 protected:
  MockWorker& add_script(const std::string& script) {
    mock_.model.output = MockOutput::script;
    mock_.model.script = script;
    return add_worker();
  }
  // All data frames of a stream, the last one "[DONE]".
  std::vector<std::string> events(std::string_view path, std::string_view body) {
    HttpClient client(port());
    client.send(post_request(path, body));
    const auto head = client.read_head();
    EXPECT_EQ(head.status, 200);
    EXPECT_TRUE(head.headers.at("content-type").starts_with("text/event-stream"));
    std::vector<std::string> all;
    do {
      all.push_back(client.read_event());
    } while (!all.back().empty() && all.back() != "[DONE]");
    return all;
  }
  static std::string text_of(const std::vector<std::string>& events, int choice = 0) {
    std::string text;
    for (const auto& event : events) {
      if (event == "[DONE]") break;
      const auto chunk = parse(event);
      for (const auto& one : chunk.at("choices").as_array()) {
        if (one.at("index") != choice) continue;
        if (one.as_object().contains("text")) {
          text += one.at("text").as_string();
        } else if (one.at("delta").as_object().contains("content")) {
          text += one.at("delta").at("content").as_string();
        }
      }
    }
    return text;
  }
};

TEST_F(GenerationTest, StreamsAreExact) {
  add_script("Hello, wörld 🙂!");
  start();
  const auto all =
      events("/v1/chat/completions",
             R"({"model":"mock","stream":true,"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_GE(all.size(), 4u);
  EXPECT_EQ(all.back(), "[DONE]");
  const auto first = parse(all[0]);
  EXPECT_EQ(first.at("object"), "chat.completion.chunk");
  EXPECT_EQ(first.at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(first.at("choices").at(0).at("delta").at("content"), "");
  for (size_t i = 0; i + 1 < all.size(); i++) {
    const auto chunk = parse(all[i]);
    EXPECT_EQ(chunk.at("id"), first.at("id"));
    EXPECT_EQ(chunk.at("created"), first.at("created"));
    EXPECT_EQ(chunk.at("model"), "mock");
  }
  EXPECT_EQ(text_of(all), "Hello, wörld 🙂!");
  const auto last = parse(all[all.size() - 2]).at("choices").at(0);
  EXPECT_EQ(last.at("finish_reason"), "stop");
}

TEST_F(GenerationTest, StreamedAndWholeAnswersAreEqual) {
  add_worker();
  start();
  const std::string body = R"("seed":7,"max_tokens":40)";
  const auto whole = parse(post("/v1/completions", completion(body)).body);
  const auto streamed = events("/v1/completions", completion(body + R"(,"stream":true)"));
  EXPECT_EQ(text_of(streamed), whole.at("choices").at(0).at("text").as_string());
  EXPECT_EQ(whole.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(whole.at("usage").at("completion_tokens"), 40);
  EXPECT_EQ(whole.at("usage").at("prompt_tokens"), 5);
}

TEST_F(GenerationTest, UsageComesLastWhenAskedFor) {
  add_worker();
  start();
  const auto all =
      events("/v1/completions",
             completion(R"("stream":true,"max_tokens":3,"stream_options":{"include_usage":true})"));
  const auto usage = parse(all[all.size() - 2]);
  EXPECT_TRUE(usage.at("choices").as_array().empty());
  EXPECT_EQ(usage.at("usage").at("completion_tokens"), 3);
  EXPECT_TRUE(parse(all[0]).at("usage").is_null());
}

TEST_F(GenerationTest, StopStringsAcrossTokensEndTheWorkToo) {
  auto& worker = add_script("one two three four five six " + std::string(20'000, 'x'));
  start();
  const auto answer =
      parse(post("/v1/completions", completion(R"("max_tokens":20000,"stop":["four five"])")).body);
  EXPECT_EQ(answer.at("choices").at(0).at("text"), "one two three ");
  EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }));
  EXPECT_EQ(worker.engine().cancelled(), 1);
}

TEST_F(GenerationTest, StopTokensAreNotPartOfTheText) {
  add_script("abcdef");
  start();
  const auto id = std::to_string(MockModel::kFirstByte + 'd');
  const auto answer =
      parse(post("/v1/completions", completion(R"("stop_token_ids":[)" + id + "]")).body);
  EXPECT_EQ(answer.at("choices").at(0).at("text"), "abc");
  EXPECT_EQ(answer.at("choices").at(0).at("stop_reason"), MockModel::kFirstByte + 'd');
  const auto included =
      parse(post("/v1/completions",
                 completion(R"("include_stop_str_in_output":true,"stop_token_ids":[)" + id + "]"))
                .body);
  EXPECT_EQ(included.at("choices").at(0).at("text"), "abcd");
}

TEST_F(GenerationTest, PromptListsAndChoicesAreNumberedTogether) {
  add_worker();
  add_worker();
  start();
  const auto answer =
      parse(post("/v1/completions",
                 R"({"model":"mock","prompt":["a","b","cd"],"n":2,"max_tokens":4,"seed":1})")
                .body);
  const auto& choices = answer.at("choices").as_array();
  ASSERT_EQ(choices.size(), 6u);
  std::set<std::string> texts;
  for (int64_t i = 0; i < 6; i++) {
    EXPECT_EQ(choices[static_cast<size_t>(i)].at("index"), i);
    texts.insert(std::string(choices[static_cast<size_t>(i)].at("text").as_string()));
  }
  EXPECT_EQ(texts.size(), 6u);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 24);
}

TEST_F(GenerationTest, EqualPromptsOfAListDrawForThemselves) {
  add_worker();
  start();
  const auto texts = [&](const std::string& prompt) {
    const auto answer =
        parse(post("/v1/completions",
                   R"({"model":"mock","max_tokens":8,"seed":1,"prompt":)" + prompt + "}")
                  .body);
    std::vector<std::string> found;
    for (const auto& choice : answer.at("choices").as_array())
      found.emplace_back(choice.at("text").as_string());
    return found;
  };
  const auto list = texts(R"(["a","a","a"])");
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(std::set<std::string>(list.begin(), list.end()).size(), 3u);
  EXPECT_EQ(texts(R"(["a","a","a"])"), list);
  EXPECT_EQ(texts(R"("a")").at(0), list[0]);
}

std::string list_of(size_t prompts, const std::string& more) {
  std::string list;
  for (size_t i = 0; i < prompts; i++) list += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\"";
  return R"({"model":"mock","prompt":[)" + list + "]," + more + "}";
}

TEST_F(GenerationTest, LongListsOfPromptsGoThroughAWindow) {
  mock_.timing.prefill_tok_s = 0.1;
  config_.max_queue_ms = 86'400'000;  // the window is what bounds it
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/completions", list_of(300, R"("n":2)")));
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 64; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(worker.engine().started(), 64);
}

TEST_F(GenerationTest, LongListsOfPromptsFitSmallWorkers) {
  auto& worker = add_worker();
  start();
  worker.engine().faults().max_live = 2;
  const auto response = post("/v1/completions", list_of(150, R"("max_tokens":2,"seed":1)"));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto answer = parse(response.body);
  const auto& choices = answer.at("choices").as_array();
  ASSERT_EQ(choices.size(), 150u);
  for (size_t i = 0; i < choices.size(); i++) EXPECT_EQ(choices[i].at("index"), i);
  EXPECT_EQ(answer.at("usage").at("completion_tokens"), 300);
}

TEST_F(GenerationTest, StreamsOfLongListsAreWholeAndInOrder) {
  add_worker();
  add_worker();
  start();
  const std::string body = R"("max_tokens":3,"seed":1)";
  const auto whole = parse(post("/v1/completions", list_of(300, body)).body);
  const auto all = events("/v1/completions", list_of(300, body + R"(,"stream":true)"));
  EXPECT_EQ(all.back(), "[DONE]");
  std::vector<std::string> texts;
  size_t finished = 0;
  for (size_t i = 0; i + 1 < all.size(); i++) {
    const auto chunk = parse(all[i]);
    const auto& choice = chunk.at("choices").at(0);
    const auto index = static_cast<size_t>(choice.at("index").as_int64());
    ASSERT_LE(index, texts.size());
    if (index == texts.size()) texts.emplace_back();
    texts[index] += choice.at("text").as_string();
    finished += choice.at("finish_reason").is_null() ? 0 : 1;
  }
  ASSERT_EQ(texts.size(), 300u);
  EXPECT_EQ(finished, 300u);
  for (size_t i = 0; i < texts.size(); i++)
    EXPECT_EQ(texts[i], whole.at("choices").at(i).at("text").as_string());
}

TEST_F(GenerationTest, BadWordsBeyondAFrameAreNamed) {
  add_worker();
  start();
  std::string words;
  for (int i = 0; i < 100; i++)
    words += (i > 0 ? ",\"" : "\"") + std::to_string(i) + std::string(100, 'x') + "\"";
  const auto response = post("/v1/completions", completion(R"("bad_words":[)" + words + "]"));
  expect_error(response, 400, "invalid_request_error", "invalid_value");
  EXPECT_EQ(parse(response.body).at("error").at("param"), "bad_words");
}

TEST_F(GenerationTest, InterTokenTimesAreOfEachChoice) {
  add_worker();
  start();
  EXPECT_EQ(post("/v1/completions", completion(R"("n":8,"max_tokens":5)")).status, 200);
  EXPECT_EQ(metric("bessemer_router_inter_token_latency_seconds_count"), 8 * 4);
  EXPECT_EQ(metric("bessemer_router_prompt_tokens_total"), 5);
}

TEST_F(GenerationTest, EachRequestLeavesALineInTheLog) {
  std::mutex mutex;
  std::string all;
  log().capture([&](std::string_view line) {
    std::lock_guard lock(mutex);
    all.append(line).append("\n");
  });
  log().set_level(LogLevel::debug);
  add_worker();
  start();
  const std::string body = completion(R"("max_tokens":3,"user":"bo\nb")");
  HttpClient client(port());
  client.send(post_request("/v1/completions", body, "X-Request-Id: of-the-test\r\n"));
  EXPECT_EQ(client.read_response().status, 200);
  TearDown();
  log().set_level(LogLevel::off);
  log().capture({});
  const size_t at = all.find("request of-the-test ended: status 200, model \"mock\", ");
  ASSERT_NE(at, std::string::npos) << all;
  const std::string line = all.substr(at, all.find('\n', at) - at);
  EXPECT_NE(line.find(R"(user "bo\nb", )"), std::string::npos) << line;
  EXPECT_NE(line.find("5 prompt tokens, 3 generated, "), std::string::npos) << line;
}

TEST_F(GenerationTest, LogprobsAndEcho) {
  add_script("xyz");
  start();
  const auto answer =
      parse(post("/v1/completions", completion(R"("echo":true,"logprobs":2,"max_tokens":2)")).body)
          .at("choices")
          .at(0);
  EXPECT_EQ(answer.at("text"), "helloxy");
  const auto& logprobs = answer.at("logprobs");
  ASSERT_EQ(logprobs.at("tokens").as_array().size(), 7u);
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs.at("tokens").at(1), "e");
  EXPECT_EQ(logprobs.at("text_offset").at(5), 5);
  EXPECT_EQ(logprobs.at("text_offset").at(6), 6);
  const auto echo_only =
      parse(post("/v1/completions", completion(R"("echo":true,"logprobs":1,"max_tokens":0)")).body);
  EXPECT_EQ(echo_only.at("choices").at(0).at("text"), "hello");
  EXPECT_EQ(echo_only.at("choices").at(0).at("logprobs").at("tokens").as_array().size(), 5u);
  EXPECT_EQ(echo_only.at("usage").at("completion_tokens"), 0);
}

// The first token has no score, and a prompt may have no other.
TEST_F(GenerationTest, EchoOfASingleToken) {
  add_script("xyz");
  start();
  const std::string head = R"({"model":"mock","prompt":"h","max_tokens":2,)";
  const auto echo = parse(post("/v1/completions", head + R"("echo":true,"logprobs":1})").body)
                        .at("choices")
                        .at(0);
  EXPECT_EQ(echo.at("text"), "hxy");
  ASSERT_EQ(echo.at("logprobs").at("tokens").as_array().size(), 3u);
  EXPECT_EQ(echo.at("logprobs").at("tokens").at(0), "h");
  EXPECT_TRUE(echo.at("logprobs").at("token_logprobs").at(0).is_null());
  EXPECT_EQ(echo.at("logprobs").at("text_offset").at(1), 1);
  const auto scored =
      parse(post("/v1/completions", head + R"("prompt_logprobs":1})").body).at("choices").at(0);
  ASSERT_EQ(scored.at("prompt_logprobs").as_array().size(), 1u);
  EXPECT_TRUE(scored.at("prompt_logprobs").at(0).is_null());
}

TEST_F(GenerationTest, LongPromptsGoThroughThePoolAndInChunks) {
  mock_.model.max_model_len = 200'000;
  mock_.timing.prefill_tok_s = 1e9;
  add_worker();
  start();
  const std::string prompt(120'000, 'x');
  const auto answer =
      parse(post("/v1/completions", R"({"model":"mock","max_tokens":2,"prompt":")" + prompt + "\"}")
                .body);
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"), 120'000);
}

// The pool has a thread: what the clients that hung up had sent would be read first.
TEST_F(GenerationTest, TheTextOfWhoHasHungUpIsNotRead) {
  config_.threads = 1;
  add_worker();
  start();
  std::string text;
  while (text.size() < (size_t{2} << 20))
    text += "some words that are not alike " + std::to_string(text.size());
  const std::string body =
      R"({"model":"mock","max_tokens":1,"truncate_prompt_tokens":5,"prompt":")" + text + "\"}";
  const auto time_of = [&] {
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(post("/v1/completions", body).status, 200);
    return std::chrono::steady_clock::now() - begun;
  };
  const auto alone = std::max({time_of(), time_of(), time_of()});
  constexpr int kGone = 60;
  {
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < kGone; i++) {
      clients.push_back(std::make_unique<HttpClient>(port()));
      clients.back()->send(post_request("/v1/completions", body));
    }
  }
  EXPECT_LT(time_of(), alone * (kGone / 4));
}

TEST_F(GenerationTest, DisconnectsCancelInTheWorker) {
  auto& worker = add_worker();
  start();
  {
    HttpClient client(port());
    client.send(post_request("/v1/chat/completions", kLongStream));
    EXPECT_EQ(client.read_head().status, 200);
    EXPECT_FALSE(client.read_event().empty());
    EXPECT_EQ(worker.engine().live(), 1);
  }
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }, std::chrono::seconds(2)));
  EXPECT_EQ(worker.engine().cancelled(), 1);
  EXPECT_EQ(metric("bessemer_router_cancelled_total"), 1);
}

TEST_F(GenerationTest, HalfCloseCancelsAlsoWhileNothingIsWritten) {
  mock_.timing.prefill_tok_s = 0.1;  // the first token is minutes away
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/chat/completions", kChat));
  ASSERT_TRUE(eventually([&] { return worker.engine().live() == 1; }));
  client.half_close();
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }, std::chrono::seconds(2)));
}

TEST_F(GenerationTest, AFullReadAheadStillSeesTheHangUp) {
  mock_.timing.prefill_tok_s = 0.1;
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/chat/completions", kChat) + std::string(60'000, 'x'));
  ASSERT_TRUE(eventually([&] { return worker.engine().live() == 1; }));
  client.half_close();
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }, std::chrono::seconds(2)));
}

TEST_F(GenerationTest, TheHeadOfAStreamDoesNotWaitForTheFirstToken) {
  mock_.timing.prefill_tok_s = 0.1;
  add_worker();
  start();
  HttpClient client(port(), std::chrono::seconds(3));
  client.send(post_request("/v1/completions", completion(R"("stream":true)")));
  EXPECT_EQ(client.read_head().status, 200);
}

TEST_F(GenerationTest, ATokenThatComesWithTheAdmissionIsSentAtOnce) {
  mock_.timing.step_us = 1'500'000;
  add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/chat/completions", kLongStream));
  EXPECT_EQ(client.read_head().status, 200);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(parse(client.read_event()).at("choices").at(0).at("delta").at("content"), "");
  EXPECT_NE(parse(client.read_event()).at("choices").at(0).at("delta").at("content"), "");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(750));
}

TEST_F(GenerationTest, ASlowReaderLosesNothing) {
  mock_.timing.step_us = 200;
  add_worker();
  start();
  const std::string body = R"("seed":3,"max_tokens":8000)";
  // A small window: the frames (about 1.5 MB) do not fit between the two, and deltas merge in the
  // router.
  HttpClient slow(port(), std::chrono::seconds(30), 4096);
  slow.send(post_request("/v1/completions", completion(body + R"(,"stream":true)")));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_EQ(slow.read_head().status, 200);
  std::vector<std::string> all;
  do {
    all.push_back(slow.read_event());
  } while (!all.back().empty() && all.back() != "[DONE]");
  EXPECT_EQ(all.back(), "[DONE]");
  const std::string streamed = text_of(all);
  const auto whole = parse(post("/v1/completions", completion(body)).body);
  EXPECT_EQ(streamed, whole.at("choices").at(0).at("text").as_string());
}

TEST_F(GenerationTest, AWorkerThatDiesInMidStreamLeavesATerminalError) {
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/chat/completions", kLongStream));
  EXPECT_EQ(client.read_head().status, 200);
  for (int i = 0; i < 3; i++) EXPECT_FALSE(client.read_event().empty());
  worker.engine().faults().sever_after_tokens = 0;
  std::string last, event;
  for (event = client.read_event(); !event.empty() && event != "[DONE]";
       event = client.read_event())
    last = event;
  EXPECT_EQ(event, "[DONE]");
  EXPECT_EQ(parse(last).at("error").at("type"), "server_error");
  EXPECT_TRUE(eventually([&] { return post("/v1/chat/completions", kChat).status == 200; }));
}

TEST_F(GenerationTest, ARequestWithoutOutputMovesToAnotherWorker) {
  mock_.timing.prefill_tok_s = 10;  // "hello" takes half a second
  add_worker();
  add_worker();
  start();
  ClientResponse response;
  std::thread request([&] { response = post("/v1/completions", completion(R"("max_tokens":2)")); });
  ASSERT_TRUE(
      eventually([&] { return workers_[0]->engine().live() + workers_[1]->engine().live() == 1; }));
  const size_t victim = workers_[0]->engine().live() == 1 ? 0 : 1;
  workers_[victim].reset();
  request.join();
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(metric("bessemer_router_replaced_total"), 1);
  EXPECT_TRUE(eventually([&] { return ready_workers() == 1; }));
}

TEST_F(GenerationTest, RefusalsBounceToAnotherWorker) {
  auto& first = add_worker();
  auto& second = add_worker();
  start();
  first.engine().faults().reject_next = 1;
  second.engine().faults().reject_next = 1;
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 200);
  EXPECT_EQ(metric("bessemer_router_bounces_total"), 2);
}

TEST_F(GenerationTest, FullQueuesEverywhereAre429) {
  auto& worker = add_worker();
  start();
  worker.engine().faults().reject_next = 1'000'000;
  const auto response = post("/v1/chat/completions", kChat);
  EXPECT_EQ(response.status, 429);
  EXPECT_TRUE(response.headers.contains("retry-after"));
  EXPECT_TRUE(response.headers.contains("retry-after-ms"));
  worker.engine().faults().reject_next = 0;
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 200);
}

TEST_F(GenerationTest, NobodyMayWaitBeyondTheLimit) {
  config_.max_waiting = 0;
  auto& worker = add_worker();
  start();
  worker.engine().faults().reject_next = 1'000'000;
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 429);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
}

// A queue of 40 s where 10 s are allowed: there is room in half a minute.
TEST_F(GenerationTest, AQueueBeyondItsBoundIs429WithTheTimeUntilThereIsRoom) {
  config_.max_queue_ms = 10'000;
  auto& worker = add_worker();
  worker.engine().faults().backlog_tokens = static_cast<uint64_t>(40 * mock_.timing.prefill_tok_s);
  start();
  const auto post_until = [&](int status) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    auto response = post("/v1/chat/completions", kChat);
    while (response.status != status && std::chrono::steady_clock::now() < end)
      response = post("/v1/chat/completions", kChat);
    EXPECT_EQ(response.status, status) << "once the report has come";
    return response;
  };
  const auto refused = post_until(429);
  EXPECT_NEAR(std::stod(refused.headers.at("retry-after-ms")), 30'000, 500);
  EXPECT_NE(refused.body.find("max_queue_ms"), std::string::npos);
  worker.engine().faults().backlog_tokens = 0;
  post_until(200);
}

TEST_F(GenerationTest, FinalRefusalsAreTheClientsFault) {
  auto& worker = add_worker();
  start();
  worker.engine().faults().reject_reason = v1::REJECT_TOO_LARGE;
  worker.engine().faults().reject_next = 1;
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 400);
  EXPECT_EQ(metric("bessemer_router_bounces_total"), 0);
  EXPECT_EQ(metric("bessemer_router_prompt_tokens_total"), 0);
}

TEST_F(GenerationTest, MissingFeaturesAreNamedAsUnsupported) {
  mock_.missing_features = 1u << 5;
  add_worker();
  start();
  expect_error(post("/v1/completions", completion(R"("logprobs":1)")), 400, "invalid_request_error",
               "unsupported_parameter");
  EXPECT_EQ(post("/v1/completions", completion(R"("max_tokens":1)")).status, 200);
}

TEST_F(GenerationTest, AGapInTheTokensIsAFailure) {
  auto& worker = add_worker();
  start();
  worker.engine().faults().skip_offsets = 1'000'000;
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 503);  // tried, lost, nobody left
  worker.engine().faults().skip_offsets = 0;
  EXPECT_EQ(post("/v1/chat/completions", kChat).status, 200);
}

TEST_F(GenerationTest, RepeatedRowsAreDropped) {
  auto& worker = add_script("exactly once");
  start();
  worker.engine().faults().repeat_rows = true;
  EXPECT_EQ(parse(post("/v1/completions", completion(R"("max_tokens":50)")).body)
                .at("choices")
                .at(0)
                .at("text"),
            "exactly once");
}

TEST_F(GenerationTest, FailuresOfTheWorkerAre500OrAnErrorFrame) {
  auto& fast = add_worker();
  start();
  fast.engine().faults().fail_next = 2;
  expect_error(post("/v1/chat/completions", kChat), 500, "server_error");
  expect_error(post("/v1/chat/completions", kChatStream), 500, "server_error");  // nothing was sent
  TearDown();
  config_.workers.clear();
  mock_.timing.prefill_tok_s = 100;  // admitted, and the stream begun, before it fails
  auto& slow = add_worker();
  start();
  slow.engine().faults().fail_next = 1;
  const auto all = events("/v1/chat/completions", kChatStream);
  EXPECT_EQ(all.back(), "[DONE]");
  EXPECT_TRUE(parse(all[all.size() - 2]).as_object().contains("error"));
}

TEST_F(GenerationTest, DeadlinesAre504) {
  config_.request_timeout_ms = 300;
  mock_.timing.prefill_tok_s = 0.1;
  auto& worker = add_worker();
  start();
  const auto response = post("/v1/chat/completions", kChat);
  expect_error(response, 504, "server_error", "deadline_exceeded");
  EXPECT_EQ(response.headers.at("x-should-retry"), "false");
  EXPECT_TRUE(eventually([&] { return worker.engine().live() == 0; }));
  worker.engine().faults().hang = true;  // its word does not come: the router's own clock rules
  expect_error(post("/v1/chat/completions", kChat), 504, "server_error", "deadline_exceeded");
}

TEST_F(GenerationTest, FailuresThatWouldRepeatAreNotRetried) {
  auto& worker = add_worker();
  start();
  worker.engine().faults().fail_next = 1;
  const auto response = post("/v1/chat/completions", kChat);
  expect_error(response, 500, "server_error");
  EXPECT_EQ(response.headers.at("x-should-retry"), "false");
  worker.engine().faults().fail_code = 3;  // INVALID_ARGUMENT: the request's own fault
  worker.engine().faults().fail_next = 1;
  expect_error(post("/v1/chat/completions", kChat), 400, "invalid_request_error");
}

TEST_F(GenerationTest, QuietStreamsArePinged) {
  config_.sse_ping_ms = 100;
  auto& worker = add_worker();
  start();
  HttpClient client(port());
  client.send(post_request("/v1/chat/completions", kLongStream));
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_FALSE(client.read_event().empty());
  worker.engine().faults().hang = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  worker.engine().faults().hang = false;
  while (client.pings() == 0 && !client.read_event().empty()) {
  }
  EXPECT_GT(client.pings(), 0);
}

TEST_F(GenerationTest, ErrorsOfRequests) {
  start();
  expect_error(post("/v1/chat/completions", kChat), 503, "service_unavailable");
  TearDown();
  add_worker();
  config_.workers = {workers_[0]->address()};
  start();
  expect_error(post("/v1/chat/completions", "{"), 400, "invalid_request_error");
  expect_error(post("/v1/chat/completions",
                    R"({"model":"nope","messages":[{"role":"user","content":"x"}]})"),
               404, "invalid_request_error", "model_not_found");
  expect_error(post("/v1/completions", completion(R"("max_tokens":40000)")), 400,
               "invalid_request_error", "context_length_exceeded");
  expect_error(post("/v1/completions", R"({"model":"mock","prompt":[99999999]})"), 400,
               "invalid_request_error", "invalid_value");
  expect_error(post("/v1/completions", completion(R"("logit_bias":{"999999":1})")), 400,
               "invalid_request_error", "invalid_value");
  EXPECT_EQ(get("/v1/models/mock").status, 200);
  expect_error(get("/v1/models/nope"), 404, "invalid_request_error", "model_not_found");
}

TEST_F(GenerationTest, TokenizeInBothShapes) {
  add_worker();
  start();
  const auto vllm =
      parse(post("/tokenize", R"({"model":"mock","prompt":"ab","return_token_strs":true})").body);
  EXPECT_EQ(vllm.at("count"), 2);
  EXPECT_EQ(vllm.at("tokens").at(0), MockModel::kFirstByte + 'a');
  EXPECT_EQ(vllm.at("token_strs").at(1), "b");
  EXPECT_EQ(vllm.at("max_model_len"), 32768);
  const auto chat =
      parse(post("/tokenize", R"({"messages":[{"role":"user","content":"ab"}]})").body);
  EXPECT_EQ(chat.at("tokens").at(0), MockModel::kTurnStart);
  const auto llama = parse(post("/tokenize", R"({"content":"ü","with_pieces":true})").body);
  EXPECT_EQ(llama.at("tokens").at(0).at("piece").at(0), 0xc3);
  const auto back = parse(
      post("/detokenize", R"({"tokens":[)" + std::to_string(MockModel::kFirstByte + 'a') + "]}")
          .body);
  EXPECT_EQ(back.at("prompt"), "a");
  EXPECT_EQ(back.at("content"), "a");
  expect_error(post("/tokenize", R"({"prompt":"a","surprise":1})"), 400, "invalid_request_error",
               "unsupported_parameter");
  expect_error(post("/detokenize", R"({"tokens":[-1]})"), 400, "invalid_request_error",
               "invalid_value");
}

// A list of ids may end within a character; its text is UTF-8 all the same.
TEST_F(GenerationTest, DetokenizeGivesValidText) {
  add_worker();
  start();
  const auto text = [&](std::initializer_list<int> bytes) {
    std::string ids;
    for (const int byte : bytes)
      ids += (ids.empty() ? "" : ",") + std::to_string(MockModel::kFirstByte + byte);
    const auto answer = parse(post("/detokenize", R"({"tokens":[)" + ids + "]}").body);
    EXPECT_EQ(answer.at("prompt"), answer.at("content"));
    return std::string(answer.at("content").as_string());
  };
  EXPECT_EQ(text({}), "");
  EXPECT_EQ(text({0xc3, 0xbc}), "ü");
  EXPECT_EQ(text({0xc3}), "\uFFFD");
  EXPECT_EQ(text({'a', 0x9f, '"', '\n', 0xf0, 0x9f}), "a\uFFFD\"\n\uFFFD");
}

TEST_F(GenerationTest, ListsOfTokensAreBounded) {
  add_worker();
  start();
  constexpr size_t kTooMany = (size_t{1} << 20) + 1;
  std::string ids = "100";
  for (size_t i = 1; i < kTooMany; i++) ids += ",100";
  expect_error(post("/detokenize", R"({"tokens":[)" + ids + "]}"), 400, "invalid_request_error",
               "invalid_value");
  const std::string text(kTooMany, 'a');
  for (const std::string key : {"content", "prompt"}) {
    const auto answer = post("/tokenize", R"({")" + key + R"(":")" + text + R"("})");
    expect_error(answer, 400, "invalid_request_error", "invalid_value");
    EXPECT_EQ(parse(answer.body).at("error").at("param"), json::value(key));
  }
}

// What a choice repeats of its prompt is copied for each choice.
TEST_F(GenerationTest, EchoesAreBounded) {
  auto& worker = add_worker();
  start();
  const std::string text = std::string(500, 'a');
  const auto param = [&](const std::string& prompt, const std::string& more) {
    const auto answer = post("/v1/completions", R"({"model":"mock","max_tokens":1,"prompt":)" +
                                                    prompt + "," + more + "}");
    expect_error(answer, 400, "invalid_request_error", "invalid_value");
    return std::string(parse(answer.body).at("error").at("param").as_string());
  };
  const std::string short_prompt = '"' + text + '"',
                    long_prompt = '"' + std::string(30'000, 'a') + '"';
  EXPECT_EQ(param(short_prompt, R"("n":128,"echo":true,"logprobs":20)"), "logprobs");
  EXPECT_EQ(param("[" + long_prompt + "," + long_prompt + "]", R"("prompt_logprobs":20)"),
            "prompt_logprobs");
  std::string many = long_prompt;
  for (int i = 1; i < 8; i++) many += "," + long_prompt;
  EXPECT_EQ(param("[" + many + "]", R"("n":128,"echo":true)"), "echo");
  EXPECT_EQ(worker.engine().live(), 0u);
  const auto fine =
      post("/v1/completions",
           R"({"model":"mock","max_tokens":1,"n":2,"echo":true,"logprobs":20,"prompt":)" +
               short_prompt + "}");
  EXPECT_EQ(fine.status, 200) << fine.body;
}

TEST_F(GenerationTest, ModelsAndMetrics) {
  add_worker();
  start();
  const auto models = parse(get("/v1/models").body);
  EXPECT_EQ(models.at("object"), "list");
  EXPECT_EQ(models.at("data").at(0).at("id"), "mock");
  EXPECT_EQ(models.at("data").at(0).at("max_model_len"), 32768);
  for (int i = 0; i < 3; i++) EXPECT_EQ(post("/v1/chat/completions", kChat).status, 200);
  EXPECT_EQ(metric("bessemer_router_generated_tokens_total"), 24);
  EXPECT_EQ(metric("bessemer_router_time_to_first_token_seconds_count"), 3);
  const std::string counted =
      R"(bessemer_router_requests_total{endpoint="/v1/chat/completions",status="200"} 3)";
  EXPECT_TRUE(eventually([&] {  // an answer is counted once it has left
    return get("/metrics").body.find(counted) != std::string::npos;
  }));
}

TEST_F(GenerationTest, BeforeAnyWorkerHasJoinedModelsAreNotMissingButLate) {
  config_.workers = {"127.0.0.1:1"};
  start();
  expect_error(get("/v1/models/mock"), 503, "service_unavailable");
  EXPECT_TRUE(get("/v1/models/mock").headers.contains("retry-after"));
  expect_error(post("/v1/chat/completions", kChat), 503, "service_unavailable");
}

TEST_F(GenerationTest, WorkersThatComeLaterAreFound) {
  auto& worker = add_worker();
  const int port_number = worker.port();
  start();
  workers_.clear();
  EXPECT_TRUE(eventually([&] { return ready_workers() == 0; }));
  expect_error(post("/v1/chat/completions", kChat), 503, "service_unavailable");
  mock_.port = port_number;
  config_.workers.clear();
  add_worker();
  EXPECT_TRUE(eventually([&] { return post("/v1/chat/completions", kChat).status == 200; }));
}

TEST_F(GenerationTest, NothingIsLeftBehind) {
  auto& first = add_worker();
  auto& second = add_worker();
  start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; i++) {
    clients.emplace_back([&, i] {
      for (int round = 0; round < 10; round++) {
        if ((i + round) % 3 == 0) {
          HttpClient client(port());
          client.send(post_request("/v1/chat/completions", kLongStream));
          client.read_head();
          client.read_event();
        } else if ((i + round) % 3 == 1) {
          EXPECT_EQ(post("/v1/chat/completions", kChat).status, 200);
        } else {
          EXPECT_EQ(post("/v1/chat/completions", "{}").status, 400);
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_TRUE(
      eventually([&] { return first.engine().live() == 0 && second.engine().live() == 0; }));
  EXPECT_TRUE(eventually([&] { return router_->live_requests() <= 1; }));
  const auto state = parse(get("/bessemer/state").body);
  for (const auto& worker : state.at("workers").as_array())
    EXPECT_EQ(worker.at("load").at("from_this_router"), 0);
}

}  // namespace
}  // namespace bessemer
