// Two servers in turns: who is asked what, and when.
#include "bench/serve/campaign.h"

#include <algorithm>
#include <mutex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bench/scripted_server.h"

namespace bessemer::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Answers every prompt with three texts, counts a token for each of its words, and remembers it.
class CountingServer {
 public:
  explicit CountingServer(std::vector<std::string>& log, std::string name, bool counts = true)
      : log_(log), name_(std::move(name)), counts_(counts) {}

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }

 private:
  ScriptedAnswer answer(const std::string& request) {
    if (request.starts_with("GET /v1/models ")) return page(R"({"data":[{"id":"m"}]})");
    if (request.starts_with("GET ")) return page("{}");
    const auto body = parse_json(request.substr(request.find("\r\n\r\n") + 4));
    const std::string prompt(body->at("prompt").as_string());
    {
      const std::lock_guard lock(mutex());
      log_.push_back(name_ + ":" + prompt);
    }
    const int tokens = 1 + static_cast<int>(std::ranges::count(prompt, ' '));
    std::vector<std::string> events = {text_event("a"), text_event("b"), text_event("c")};
    if (counts_) events.push_back(usage_event(tokens, 3));
    events.emplace_back("[DONE]");
    return event_stream(events);
  }
  static ScriptedAnswer page(const std::string& body) {
    return {.pieces = {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                       "\r\n\r\n" + body}};
  }
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }

  std::vector<std::string>& log_;
  const std::string name_;
  const bool counts_;
  ScriptedServer server_{[this](const std::string& request) { return answer(request); }};
};

Candidate candidate_at(const std::string& label, const CountingServer& server) {
  return {.label = label, .url = server.url(), .command = "", .target = {}};
}

CampaignOptions short_options() {
  CampaignOptions options;
  options.workload.requests = 3;
  options.workload.input_tokens = 40;
  options.workload.output_tokens = 3;
  options.load.concurrency = 1;
  options.repeats = 2;
  options.seed = 9;
  options.settle = Duration{0};
  return options;
}

TEST(Campaign, BothServersGetTheSameWorkInTurns) {
  std::vector<std::string> log;
  CountingServer a(log, "A"), b(log, "B");
  std::vector<std::string> turns;
  const auto result = run_campaign(
      {candidate_at("A", a), candidate_at("B", b)}, short_options(),
      [&](const PhaseRun& run) { turns.push_back(run.server + std::to_string(run.repeat)); });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(turns, ElementsAre("A0", "B0", "A1", "B1"));

  ASSERT_GE(log.size(), 12u);
  const std::vector<std::string> measured(log.end() - 12, log.end());
  std::set<std::string> different;
  for (size_t i = 0; i < 12; ++i) {
    const size_t turn = i / 3;
    EXPECT_EQ(measured[i][0], turn % 2 == 0 ? 'A' : 'B') << "one works, the other rests";
    if (turn % 2 == 1) EXPECT_EQ(measured[i].substr(1), measured[i - 3].substr(1));
    different.insert(measured[i].substr(1));
  }
  EXPECT_EQ(different.size(), 6u) << "another repeat has other prompts";
  const std::set<std::string> before(log.begin(), log.end() - 12);
  for (const std::string& prompt : different)
    EXPECT_FALSE(before.contains("A" + prompt)) << "nor was one of them a warm-up";
  for (const PhaseRun& run : result->runs) {
    EXPECT_EQ(run.summary.answered, 3);
    const auto prompt = std::ranges::find(run.summary.figures, "prompt_tokens_each", &Figure::name);
    EXPECT_EQ(prompt->value, 40);
  }
}

TEST(Campaign, ASeedRepeatsIt) {
  std::vector<std::string> one, same;
  CountingServer first(one, "A"), second(same, "A");
  const RunObserver ignore = [](const PhaseRun&) {};
  ASSERT_TRUE(run_campaign({candidate_at("A", first)}, short_options(), ignore).ok());
  ASSERT_TRUE(run_campaign({candidate_at("A", second)}, short_options(), ignore).ok());
  EXPECT_EQ(std::multiset<std::string>(one.begin(), one.end()),
            std::multiset<std::string>(same.begin(), same.end()));
}

TEST(Campaign, AServerThatDoesNotCountCannotTeachWords) {
  std::vector<std::string> log;
  CountingServer mute(log, "A", false);
  const auto result =
      run_campaign({candidate_at("A", mute)}, short_options(), [](const PhaseRun&) {});
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("sends no usage"));
}

TEST(Starts, AreOfServersThatCanBeStarted) {
  CampaignOptions options = short_options();
  options.start_timeout = std::chrono::seconds(5);
  const Candidate broken{.label = "B", .url = "", .command = "false {port}", .target = {}};
  const auto result = run_starts({broken}, options, [](const PhaseRun&) {});
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("server B ended"));
}

}  // namespace
}  // namespace bessemer::bench
