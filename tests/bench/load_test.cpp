// The load loop against a server that does what a script says.
#include "bench/serve/load.h"

#include <map>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/serve/fetch.h"
#include "bench/serve/server.h"
#include "common/ports.h"
#include "tests/bench/scripted_server.h"

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

uint16_t free_port() {
  return static_cast<uint16_t>(free_ports("127.0.0.1", 1, "port").value().front());
}

ScriptedAnswer good_answer(int pause_ms = 0) {
  ScriptedAnswer answer = event_stream(
      {text_event("a"), text_event("b"), text_event("c"), usage_event(5, 3), "[DONE]"});
  answer.pause_ms = pause_ms;
  return answer;
}

Target target_at(uint16_t port) {
  Target target;
  target.server.port = std::to_string(port);
  target.model = "m";
  return target;
}

// `count` conversations of one turn each, "p0", "p1", ..., `gap_s` apart.
Phase phase_of(int count, double gap_s = 0) {
  Phase phase{.name = "test", .timed = gap_s > 0, .conversations = {}};
  for (int i = 0; i < count; ++i)
    phase.conversations.push_back({.at_s = i * gap_s, .turns = {{"p" + std::to_string(i), 3}}});
  return phase;
}

LoadResult load(const ScriptedServer& server, const Phase& phase, const LoadOptions& options) {
  StatusOr<LoadResult> result = run_load(target_at(server.port()), phase, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::map<Failure, int> failures_of(const LoadResult& result) {
  std::map<Failure, int> failures;
  for (const Outcome& outcome : result.outcomes) ++failures[outcome.failure];
  return failures;
}

TEST(Load, AClosedLoopKeepsItsConnections) {
  ScriptedServer server([](const std::string&) { return good_answer(1); });
  const LoadResult result = load(server, phase_of(20), {.concurrency = 4});
  EXPECT_EQ(result.outcomes.size(), 20u);
  EXPECT_EQ(server.connections(), 4);
  for (const Outcome& outcome : result.outcomes) {
    EXPECT_EQ(outcome.failure, Failure::none) << outcome.message;
    EXPECT_EQ(outcome.prompt_tokens, 5);
    EXPECT_EQ(outcome.output_tokens, 3);
    EXPECT_EQ(outcome.gaps_ms.size(), 2u);
    EXPECT_LE(outcome.due, outcome.sent);
    EXPECT_LT(outcome.sent, outcome.first_text);
    EXPECT_LT(outcome.first_text, outcome.end);
    EXPECT_GE(ms_between(outcome.sent, outcome.first_text), 1.9) << "two pauses of the script";
  }
}

TEST(Load, AKeptConnectionThatTheServerClosesIsReplaced) {
  std::atomic<int> requests = 0;
  ScriptedServer server([&](const std::string&) {
    return ++requests % 2 == 1 ? good_answer() : ScriptedAnswer{.pieces = {}, .close = true};
  });
  const LoadResult result = load(server, phase_of(5), {.concurrency = 1});
  EXPECT_EQ(failures_of(result)[Failure::none], 5);
  EXPECT_EQ(requests, 9);  // all but the first met a connection that was about to end
}

TEST(Load, ARequestSaysWhatIsWanted) {
  std::string seen;
  ScriptedServer server([&](const std::string& request) {
    seen = request;
    return good_answer();
  });
  Target target = target_at(server.port());
  target.api_key = "secret";
  target.extra = {{"top_k", 1}, {"temperature", 0.5}};
  ASSERT_TRUE(run_load(target, phase_of(1), {.concurrency = 1}).ok());
  EXPECT_THAT(seen, HasSubstr("POST /v1/completions HTTP/1.1"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Bearer secret"));
  const StatusOr<json::value> body = parse_json(seen.substr(seen.find("\r\n\r\n") + 4));
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(*body, json::value({{"model", "m"},
                                {"prompt", "p0"},
                                {"max_tokens", 3},
                                {"temperature", 0.5},
                                {"stream", true},
                                {"stream_options", {{"include_usage", true}}},
                                {"ignore_eos", true},
                                {"top_k", 1}}));
}

TEST(Load, TurnsSayEverythingThatWasSaid) {
  std::vector<std::string> prompts;
  ScriptedServer server([&](const std::string& request) {
    const auto body = parse_json(request.substr(request.find("\r\n\r\n") + 4));
    const json::object& fields = body->as_object();
    prompts.push_back(
        json::serialize(fields.contains("prompt") ? fields.at("prompt") : fields.at("messages")));
    return good_answer();
  });
  Phase phase{.name = "turns", .conversations = {}};
  phase.conversations.push_back({.at_s = 0, .turns = {{"one", 3}, {" two", 3}, {" three", 3}}});
  const LoadResult result = load(server, phase, {.concurrency = 1});
  EXPECT_THAT(prompts, ElementsAre(R"("one")", R"("oneabc two")", R"("oneabc twoabc three")"));
  ASSERT_EQ(result.outcomes.size(), 3u);
  EXPECT_EQ(result.outcomes[2].turn, 2);
  EXPECT_GE(result.outcomes[1].due, result.outcomes[0].end);
  prompts.clear();
  phase.conversations[0].turns.pop_back();
  Target chat = target_at(server.port());
  chat.chat = true;
  ASSERT_TRUE(run_load(chat, phase, {.concurrency = 1}).ok());
  EXPECT_EQ(prompts.back(),
            R"([{"role":"user","content":"one"},{"role":"assistant","content":"abc"},)"
            R"({"role":"user","content":" two"}])");
}

TEST(Load, AnOpenLoopDoesNotWaitForAnswers) {
  ScriptedServer server([](const std::string&) { return good_answer(40); });
  const LoadResult result = load(server, phase_of(10, 0.01), {});
  EXPECT_EQ(failures_of(result), (std::map<Failure, int>{{Failure::none, 10}}));
  EXPECT_LT(result.wall_s, 2) << "one after the other they would take 2.8 s";
  EXPECT_GT(server.connections(), 3);
  for (size_t i = 1; i < result.outcomes.size(); ++i)
    EXPECT_NEAR(ms_between(result.outcomes[i - 1].due, result.outcomes[i].due), 10, 1e-3);
}

TEST(Load, ArrivalsBeyondTheBoundAreCounted) {
  ScriptedServer server([](const std::string&) { return good_answer(50); });
  const LoadResult result = load(server, phase_of(10, 0.001), {.max_in_flight = 3});
  EXPECT_EQ(failures_of(result),
            (std::map<Failure, int>{{Failure::none, 3}, {Failure::overrun, 7}}));
}

// Each prompt meets another misfortune; none of them is lost, and none harms the next.
TEST(Load, EveryFailureIsCountedByItsKind) {
  ScriptedServer server([](const std::string& request) -> ScriptedAnswer {
    const auto asks = [&](const char* prompt) {
      return request.find(std::string("\"prompt\":\"") + prompt + "\"") != std::string::npos;
    };
    ScriptedAnswer cut = good_answer();
    cut.pieces.resize(2);
    cut.close = true;
    if (asks("p1")) return cut;
    if (asks("p2")) return {.pieces = {"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"}};
    if (asks("p3"))
      return event_stream({text_event("a"), R"({"error":{"message":"worker lost"}})", "[DONE]"});
    if (asks("p4")) return event_stream({text_event("a")});
    if (asks("p5")) return event_stream({"{oops"});
    if (asks("p6")) return {.pieces = {"SMTP ready\r\n\r\n"}};
    if (asks("p7")) return good_answer(600);
    if (asks("p8")) return {.pieces = {}, .close = true};
    return good_answer();
  });
  const LoadResult result =
      load(server, phase_of(10), {.concurrency = 1, .timeout = std::chrono::milliseconds(1000)});
  std::vector<std::string> kinds;
  for (const Outcome& outcome : result.outcomes) kinds.emplace_back(name_of(outcome.failure));
  EXPECT_THAT(kinds, ElementsAre("none", "lost", "status", "stream", "truncated", "malformed",
                                 "malformed", "timeout", "lost", "none"));
  EXPECT_EQ(result.outcomes[2].status, 503);
  EXPECT_EQ(result.outcomes[2].message, "busy");
  EXPECT_EQ(result.outcomes[3].message, "worker lost");
  EXPECT_GE(ms_between(result.outcomes[7].due, result.outcomes[7].end), 999);
}

TEST(Load, NobodyThere) {
  const LoadResult result = *run_load(target_at(free_port()), phase_of(3), {.concurrency = 2});
  EXPECT_EQ(failures_of(result), (std::map<Failure, int>{{Failure::connect, 3}}));
  Target nowhere = target_at(1);
  nowhere.server.host = "no.such.host.invalid";
  EXPECT_FALSE(run_load(nowhere, phase_of(1), {.concurrency = 1}).ok());
}

TEST(Load, TurnsBehindAFailureAreSkippedAndSaidSo) {
  ScriptedServer server([](const std::string&) { return event_stream({text_event("a")}); });
  Phase phase{.name = "turns", .conversations = {}};
  phase.conversations.push_back({.at_s = 0, .turns = {{"one", 3}, {" two", 3}, {" three", 3}}});
  const LoadResult result = load(server, phase, {.concurrency = 1});
  EXPECT_EQ(failures_of(result),
            (std::map<Failure, int>{{Failure::truncated, 1}, {Failure::skipped, 2}}));
}

// Servers close idle connections, and some close after so many requests: neither is a failure.
TEST(Load, AConnectionThatTheServerClosedIsOpenedAgain) {
  ScriptedServer server([](const std::string&) {
    ScriptedAnswer answer = good_answer();
    answer.close = true;
    return answer;
  });
  ScriptedServer polite([](const std::string&) {
    ScriptedAnswer answer = good_answer();
    answer.pieces[0].insert(answer.pieces[0].size() - 2, "Connection: close\r\n");
    return answer;
  });
  const LoadResult result = load(polite, phase_of(5), {.concurrency = 1});
  EXPECT_EQ(failures_of(result), (std::map<Failure, int>{{Failure::none, 5}}));
  EXPECT_EQ(polite.connections(), 5);
  // Without a word, while the connection is idle: half a second between arrivals.
  const LoadResult slow = load(server, phase_of(3, 0.3), {});
  EXPECT_EQ(failures_of(slow), (std::map<Failure, int>{{Failure::none, 3}}));
}

TEST(OpenServer, ThatRuns) {
  ScriptedServer server([](const std::string& request) -> ScriptedAnswer {
    const auto answer = [](const std::string& body) -> ScriptedAnswer {
      return {.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                         "\r\n\r\n" + body}};
    };
    if (request.starts_with("GET /v1/models "))
      return answer(R"({"data":[{"id":"tiny","owned_by":"someone"}]})");
    if (request.starts_with("GET /props ")) return answer(R"({"build_info":"b7"})");
    if (request.starts_with("GET "))
      return {.pieces = {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}};
    return good_answer();
  });
  const Candidate candidate{.label = "A",
                            .url = "http://127.0.0.1:" + std::to_string(server.port()),
                            .command = "",
                            .target = {}};
  const StatusOr<Server> opened = open_server(candidate, std::chrono::seconds(5));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->target.model, "tiny");
  EXPECT_EQ(opened->software, "someone b7");
}

TEST(OpenServer, ErrorsNameTheRemedy) {
  const auto refusal = [](const std::string& url, const std::string& command) {
    const Candidate candidate{.label = "A", .url = url, .command = command, .target = {}};
    const auto server = open_server(candidate, std::chrono::milliseconds(300));
    EXPECT_FALSE(server.ok());
    return std::string(server.status().message());
  };
  EXPECT_THAT(refusal("", "sleep 5"), HasSubstr("{port}"));
  EXPECT_THAT(refusal("", "false {port}"), HasSubstr("last words"));
  EXPECT_THAT(refusal("", "sleep 100 # {port}"), HasSubstr("log"));
  EXPECT_THAT(refusal("https://h", ""), HasSubstr("https"));
  EXPECT_THAT(refusal("127.0.0.1:" + std::to_string(free_port()), ""), HasSubstr("connect"));
}

}  // namespace
}  // namespace bessemer::bench
