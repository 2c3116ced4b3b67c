// A worker process over real gRPC: what a router sees of it from Hello to SIGTERM.
#include <csignal>
#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/block_hash.h"
#include "tests/service/client.h"
#include "tests/service/worker_process.h"
#include "tests/support/random_llama.h"

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<uint32_t> kPrompt{1, 303, 307, 261, 278};
constexpr int32_t kVocabulary = 512, kContext = 2048;

bool any(const v1::LoadReport&) {
  return true;
}
bool idle(const v1::LoadReport& report) {
  const v1::Load& load = report.pools(0);
  return load.running() == 0 && load.waiting() == 0 && load.kv_free() == load.kv_total();
}

class ServiceTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    RandomLlama model;
    model.vocab = kVocabulary;
    model.context = kContext;
    random_llama(model).write(model_path());
  }
  static void TearDownTestSuite() { std::remove(model_path().c_str()); }
  static std::string model_path() {
    return ::testing::TempDir() + "service_test_" + std::to_string(::getpid()) + ".gguf";
  }
  void start(std::vector<std::string> settings = {}) {
    settings.push_back("model=" + model_path());
    worker_ = std::make_unique<WorkerProcess>(settings);
    ASSERT_NE(worker_->port(), 0) << "the worker did not become ready";
    client_ = connect(worker_->address());
  }
  std::unique_ptr<WorkerProcess> worker_;
  std::unique_ptr<WorkerClient> client_;
};

TEST_F(ServiceTest, AnswersARequest) {
  start();
  const auto lane = client_->open_lane();
  const Answer answer = ask(*lane, start_frame(1, kPrompt, 8));
  ASSERT_TRUE(answer.done) << (answer.rejected ? answer.rejected->detail() : lane->status().second);
  EXPECT_TRUE(answer.admitted);
  ASSERT_EQ(answer.ids.size(), 1u);
  EXPECT_EQ(answer.ids[0].size(), 8u);
  ASSERT_EQ(answer.ends.size(), 1u);
  EXPECT_EQ(answer.ends[0].reason(), v1::END_LENGTH);
  EXPECT_EQ(answer.ends[0].end_offset(), 8u);
  EXPECT_EQ(answer.done->usage().prompt(), kPrompt.size());
  EXPECT_THAT(answer.done->usage().generated(), ElementsAre(8));
}

TEST_F(ServiceTest, DescribesItsModel) {
  start();
  const auto card = client_->card();
  ASSERT_TRUE(card);
  EXPECT_EQ(card->architecture(), "llama");
  EXPECT_EQ(card->name(), "random");
  EXPECT_EQ(card->vocab_size(), uint32_t{kVocabulary});
  EXPECT_EQ(card->max_model_len(), uint32_t{kContext});
  EXPECT_EQ(card->quantization(), "F32");
  EXPECT_THAT(card->numerics(), HasSubstr("kv-f16"));
  const std::string bytes = client_->vocabulary_bytes();
  EXPECT_EQ(bytes.size(), card->tokenizer_bytes());
  EXPECT_EQ(content_hash_hex(bytes), card->tokenizer_hash());
  v1::Vocabulary vocabulary;
  ASSERT_TRUE(vocabulary.ParseFromString(bytes));
  EXPECT_EQ(vocabulary.tokens_size(), kVocabulary);
  EXPECT_TRUE(client_->serving());
}

TEST_F(ServiceTest, ReportsItsLoadAtOnceAndPeriodically) {
  start();
  const auto first = client_->watch(60'000, any);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_NE(first[0].incarnation(), 0u);
  EXPECT_GT(first[0].pools(0).kv_total(), 0u);
  EXPECT_GT(first[0].resident_bytes(), 0u);
  const auto later =
      client_->watch(50, [](const v1::LoadReport& report) { return report.pools(0).seq() >= 4; });
  EXPECT_EQ(later.size(), 4u);
}

std::vector<uint32_t> long_prompt() {
  std::vector<uint32_t> ids = kPrompt;
  while (ids.size() < 40) ids.push_back(3 + static_cast<uint32_t>(ids.size()) * 7 % 500);
  return ids;
}

TEST_F(ServiceTest, ReportsWhatItsPrefixCacheFinds) {
  start();
  const auto lane = client_->open_lane();
  const Answer cold = ask(*lane, start_frame(1, long_prompt(), 4));
  ASSERT_TRUE(cold.done);
  EXPECT_EQ(cold.done->usage().cached(), 0u);
  const auto again = [&](uint64_t attempt, const std::string& root) {
    v1::RouterFrame frame = start_frame(attempt, long_prompt(), 4);
    frame.mutable_start()->mutable_cache()->set_root(root);
    Answer answer;
    if (lane->send(frame)) read_answer(*lane, attempt, answer);
    EXPECT_EQ(answer.ids, cold.ids);
    return answer;
  };
  const Answer warm = again(2, "");
  EXPECT_EQ(warm.admitted->matched_tokens(), 32u);
  EXPECT_EQ(warm.done->usage().cached(), 32u);
  EXPECT_EQ(again(3, "tenant").done->usage().cached(), 0u);
  EXPECT_EQ(again(4, "tenant").done->usage().cached(), 32u);
  const auto report = client_->watch(50, idle).back();
  EXPECT_EQ(report.prefix_tokens_asked(), 160u);
  EXPECT_EQ(report.prefix_tokens_found(), 64u);
  EXPECT_EQ(report.pools(0).kv_cached(), 4u);  // two blocks of 16 under each root
}

TEST_F(ServiceTest, WithoutAPrefixCacheNothingIsFound) {
  start({"prefix_cache=off"});
  const auto lane = client_->open_lane();
  ASSERT_TRUE(ask(*lane, start_frame(1, long_prompt(), 4)).done);
  ASSERT_TRUE(lane->send(start_frame(2, long_prompt(), 4)));
  Answer second;
  read_answer(*lane, 2, second);
  EXPECT_EQ(second.done->usage().cached(), 0u);
  const auto reader = client_->watch_kv();
  const auto update = reader->receive();
  ASSERT_TRUE(update);
  EXPECT_TRUE(update->exact() && update->runs().empty());
}

TEST_F(ServiceTest, TellsWatchersWhatItsPrefixCacheHolds) {
  start({"max_watches=2"});
  const auto early = client_->watch_kv();
  const auto empty = early->receive();
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->reset() && empty->exact() && empty->runs().empty());
  const auto lane = client_->open_lane();
  ASSERT_TRUE(ask(*lane, start_frame(1, long_prompt(), 4)).done);

  // What a router would hash.
  const uint64_t domain = client_->card()->hash_domain();
  const std::vector<uint32_t> prompt = long_prompt();
  const std::vector<int32_t> ids(prompt.begin(), prompt.end());
  const BlockHash root = chain_root(domain, "");
  const BlockHash first = chain(root, std::span(ids).first(16));
  const BlockHash second = chain(first, std::span(ids).subspan(16, 16));
  const auto check = [&](const v1::KvUpdate& update) {
    ASSERT_EQ(update.runs_size(), 1);
    EXPECT_EQ(update.runs(0).parent(), root.low);
    EXPECT_THAT(update.runs(0).stored(), ElementsAre(first.low, second.low));
    EXPECT_EQ(update.digest(), first.low ^ second.low);
  };
  const auto change = early->receive();
  ASSERT_TRUE(change);
  EXPECT_FALSE(change->reset());
  EXPECT_EQ(change->seq(), 2u);
  check(*change);

  {
    const auto late = client_->watch_kv();
    const auto snapshot = late->receive();
    ASSERT_TRUE(snapshot);
    EXPECT_TRUE(snapshot->reset() && snapshot->exact());
    check(*snapshot);
    const auto third = client_->watch_kv();
    EXPECT_FALSE(third->receive());
    EXPECT_THAT(third->status().second, HasSubstr("max_watches"));
  }
  v1::WatchKvRequest elsewhere;
  elsewhere.set_pool(1);
  const auto none = client_->watch_kv(elsewhere);
  EXPECT_FALSE(none->receive());
  EXPECT_THAT(none->status().second, HasSubstr("no pool 1"));

  worker_->signal(SIGTERM);
  while (early->receive()) continue;
  EXPECT_EQ(early->status().first, 0);
  EXPECT_EQ(worker_->wait(10), 0);
}

TEST_F(ServiceTest, CancelGivesEverythingBack) {
  start();
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame()) && lane->send(start_frame(1, kPrompt, 2000)));
  Answer answer;
  read_answer(*lane, 1, answer, 3);
  ASSERT_FALSE(answer.over());
  v1::RouterFrame cancel;
  cancel.mutable_cancel()->set_attempt(1);
  ASSERT_TRUE(lane->send(cancel));
  read_answer(*lane, 1, answer);
  ASSERT_TRUE(answer.done);
  ASSERT_EQ(answer.ends.size(), 1u);
  EXPECT_EQ(answer.ends[0].reason(), v1::END_CANCELLED);
  EXPECT_LT(answer.ids[0].size(), 1000u);
  EXPECT_TRUE(idle(client_->watch(50, idle).back()));
}

// What another worker delivered goes into Start.resume, and the answer goes on behind it.
TEST_F(ServiceTest, ResumesWhatAnotherWorkerBegan) {
  const auto make = [](uint64_t attempt) {
    v1::RouterFrame frame = start_frame(attempt, kPrompt, 40);
    v1::Generate& generate = *frame.mutable_start()->mutable_generate();
    generate.set_temperature(1);
    generate.set_seed(11);
    generate.set_n(2);
    generate.set_frequency_penalty(0.5f);
    generate.set_repetition_penalty(1.1f);
    return frame;
  };
  start();
  const Answer whole = ask(*client_->open_lane(), make(1));
  ASSERT_TRUE(whole.done);
  start();  // another process
  const auto lane = client_->open_lane();
  v1::RouterFrame again = make(1);
  again.mutable_start()->set_epoch(1);
  again.mutable_start()->add_required_features(static_cast<uint32_t>(Feature::resume));
  for (const size_t delivered : {size_t{13}, size_t{29}}) {
    const auto& ids = whole.ids[static_cast<size_t>(again.start().resume().choices_size())];
    again.mutable_start()->mutable_resume()->add_choices()->mutable_ids()->Add(
        ids.begin(), ids.begin() + static_cast<ptrdiff_t>(delivered));
  }
  const Answer rest = ask(*lane, again);
  ASSERT_TRUE(rest.done) << (rest.rejected ? rest.rejected->detail() : lane->status().second);
  for (size_t choice = 0; choice < 2; ++choice) {
    const auto& delivered = again.start().resume().choices(static_cast<int>(choice)).ids();
    std::vector<uint32_t> all(delivered.begin(), delivered.end());
    all.insert(all.end(), rest.ids[choice].begin(), rest.ids[choice].end());
    EXPECT_EQ(all, whole.ids[choice]);
  }
  EXPECT_THAT(rest.done->usage().generated(), ElementsAre(40, 40));
  EXPECT_EQ(rest.done->usage().prompt(), kPrompt.size());
  EXPECT_GT(rest.done->usage().recomputed(), 0u);
}

TEST_F(ServiceTest, ASlowReadersRequestIsParkedAndGoesOnWithCredit) {
  start();
  const auto lane = client_->open_lane();
  v1::RouterFrame slow = start_frame(1, kPrompt, 30);
  slow.mutable_start()->set_send_until(10);
  ASSERT_TRUE(lane->send(hello_frame()) && lane->send(slow));
  Answer answer;
  read_answer(*lane, 1, answer, 10);
  EXPECT_EQ(answer.ids[0].size(), 10u);
  // Another one runs to its end meanwhile, and no token of the first comes.
  Answer other;
  ASSERT_TRUE(lane->send(start_frame(2, kPrompt, 30)));
  read_answer(*lane, 2, other);
  ASSERT_TRUE(other.done);
  const auto parked = client_->watch(
      50, [](const v1::LoadReport& report) { return !report.pools(0).work_pending(); });
  EXPECT_FALSE(parked.back().pools(0).work_pending());
  EXPECT_EQ(parked.back().tokens_generated(), 40u);
  v1::RouterFrame credit;
  credit.mutable_credit()->set_attempt(1);
  credit.mutable_credit()->set_send_until(100);
  ASSERT_TRUE(lane->send(credit));
  read_answer(*lane, 1, answer);
  ASSERT_TRUE(answer.done);
  EXPECT_EQ(answer.ids, other.ids);
}

TEST_F(ServiceTest, LosingTheLaneCancelsItsAttempts) {
  start();
  {
    const auto lane = client_->open_lane();
    ASSERT_TRUE(lane->send(hello_frame()) && lane->send(start_frame(1, kPrompt, 2000)));
    Answer answer;
    read_answer(*lane, 1, answer, 3);
  }
  const auto reports = client_->watch(50, idle);
  EXPECT_TRUE(idle(reports.back()));
  EXPECT_LT(reports.back().tokens_generated(), 1000u);
}

v1::RouterFrame attach_frame(uint64_t handle, const v1::Start& start, const Answer& answer) {
  v1::RouterFrame frame;
  v1::Attach& attach = *frame.mutable_attach();
  attach.set_attempt(handle);
  attach.set_request_id(start.request_id());
  attach.set_epoch(start.epoch());
  for (const auto& ids : answer.ids) attach.add_next_offset(static_cast<uint32_t>(ids.size()));
  return frame;
}

// Lane after lane is lost, and the answer goes on as if nothing had happened.
TEST_F(ServiceTest, AnAnswerGoesOnOverLanesThatAreLost) {
  start({"lease_ms=20000"});  // the client under test sends no pings
  const v1::RouterFrame asked = start_frame(1, kPrompt, 1000);
  const Answer whole = ask(*client_->open_lane(), start_frame(1, kPrompt, 1000));
  ASSERT_TRUE(whole.done);
  Answer answer;
  {
    const auto lane = client_->open_lane();
    ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) && lane->send(asked));
    read_answer(*lane, 1, answer, 3);
  }
  int lanes = 1;
  for (; !answer.over(); ++lanes) {
    const auto lane = client_->open_lane();
    const v1::RouterFrame attach = attach_frame(1, asked.start(), answer);
    ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) && lane->send(attach));
    const size_t before = answer.ids[0].size();
    read_answer(*lane, 1, answer, before + 100);
    ASSERT_FALSE(answer.rejected) << answer.rejected->detail();
  }
  EXPECT_GT(lanes, 5);
  ASSERT_TRUE(answer.done);
  EXPECT_EQ(answer.ids, whole.ids);
  EXPECT_THAT(answer.done->usage().generated(), ElementsAre(1000));
}

TEST_F(ServiceTest, OrphansThatNobodyAttachesToAreCancelled) {
  start({"orphan_ms=300"});
  const v1::RouterFrame asked = start_frame(1, kPrompt, 2000);
  Answer answer;
  {
    const auto lane = client_->open_lane();
    ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) && lane->send(asked));
    read_answer(*lane, 1, answer, 3);
  }
  EXPECT_TRUE(idle(client_->watch(50, idle).back()));
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) &&
              lane->send(attach_frame(1, asked.start(), answer)));
  read_answer(*lane, 1, answer);
  ASSERT_TRUE(answer.rejected);
  EXPECT_EQ(answer.rejected->reason(), v1::REJECT_NOT_FOUND);
}

// Nothing of it is left, and the worker goes on.
TEST_F(ServiceTest, AnAttachThatCannotBeGoneOnWithEndsTheAttempt) {
  start();
  const v1::RouterFrame asked = start_frame(1, kPrompt, 2000);
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) && lane->send(asked));
  Answer answer;
  read_answer(*lane, 1, answer, 3);
  answer.ids[0].resize(1999);  // more than was said
  ASSERT_TRUE(lane->send(attach_frame(2, asked.start(), answer)));
  Answer refused;
  read_answer(*lane, 2, refused);
  ASSERT_TRUE(refused.rejected);
  EXPECT_TRUE(idle(client_->watch(50, idle).back()));
  ASSERT_TRUE(lane->send(start_frame(3, kPrompt, 4)));
  Answer other;
  read_answer(*lane, 3, other);
  EXPECT_TRUE(other.done);
}

TEST_F(ServiceTest, ASilentRoutersAttemptsAreKeptForIt) {
  start({"lease_ms=600"});
  const v1::RouterFrame asked = start_frame(1, kPrompt, 30);
  v1::RouterFrame slow = asked;
  slow.mutable_start()->set_send_until(5);
  const auto silent = client_->open_lane();
  ASSERT_TRUE(silent->send(hello_frame({Feature::attach})) && silent->send(slow));
  Answer answer;
  read_answer(*silent, 1, answer, 5);
  while (silent->receive()) continue;
  EXPECT_THAT(silent->status().second, HasSubstr("lease"));
  const auto lane = client_->open_lane();
  v1::RouterFrame credit;
  credit.mutable_credit()->set_attempt(4);
  credit.mutable_credit()->set_send_until(30);
  ASSERT_TRUE(lane->send(hello_frame({Feature::attach})) &&
              lane->send(attach_frame(4, asked.start(), answer)) && lane->send(credit));
  read_answer(*lane, 4, answer);
  ASSERT_TRUE(answer.done);
  EXPECT_EQ(answer.ids[0].size(), 30u);
}

TEST_F(ServiceTest, GrantsComeWithTheLaneAndWithWhatItBrings) {
  start();
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame({Feature::grant})));
  const auto next_grant = [&]() -> v1::Grant {
    for (auto frame = lane->receive(); frame; frame = lane->receive()) {
      if (frame->has_grant()) return frame->grant();
    }
    return {};
  };
  const v1::Grant first = next_grant();
  EXPECT_GT(first.tokens_until(), 0u);
  EXPECT_GT(first.attempts_until(), 0u);
  const std::vector<uint32_t> prompt(first.tokens_until() + 10, 7);
  ASSERT_TRUE(lane->send(start_frame(1, prompt, 2)));
  EXPECT_GT(next_grant().tokens_until(), prompt.size());
}

TEST_F(ServiceTest, ASilentRouterLosesItsLane) {
  start({"lease_ms=600"});
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame()));
  ASSERT_TRUE(lane->receive()->has_hello());
  EXPECT_FALSE(lane->receive());
  EXPECT_THAT(lane->status().second, HasSubstr("lease"));
}

TEST_F(ServiceTest, AFrameBeforeHelloEndsTheLane) {
  start();
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(start_frame(1, kPrompt, 4)));
  while (lane->receive()) continue;
  EXPECT_THAT(lane->status().second, HasSubstr("before Hello"));
}

TEST_F(ServiceTest, LanesAreLimited) {
  start({"max_lanes=1"});
  const auto first = client_->open_lane();
  ASSERT_TRUE(first->send(hello_frame()) && first->receive()->has_hello());
  const auto second = client_->open_lane();
  EXPECT_FALSE(second->receive());
  EXPECT_THAT(second->status().second, HasSubstr("max_lanes"));
}

TEST_F(ServiceTest, TerminationDrains) {
  start({"drain_ms=20000"});
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame()) && lane->send(start_frame(1, kPrompt, 100)));
  Answer running;
  read_answer(*lane, 1, running, 1);
  worker_->signal(SIGTERM);
  for (auto frame = lane->receive(); frame && !frame->has_drain();) {
    // The running request goes on meanwhile; its first tokens are not of interest.
    frame = lane->receive();
  }
  EXPECT_FALSE(client_->serving());
  ASSERT_TRUE(lane->send(start_frame(2, kPrompt, 4)));
  Answer refused;
  read_answer(*lane, 2, refused);
  ASSERT_TRUE(refused.rejected);
  EXPECT_EQ(refused.rejected->reason(), v1::REJECT_DRAINING);
  read_answer(*lane, 1, running);
  EXPECT_TRUE(running.done);
  EXPECT_EQ(worker_->wait(10), 0);
}

TEST_F(ServiceTest, ASecondSignalStopsAtOnce) {
  start({"drain_ms=60000"});
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame()) && lane->send(start_frame(1, kPrompt, 2000)));
  Answer answer;
  read_answer(*lane, 1, answer, 1);
  worker_->signal(SIGTERM);
  while (auto frame = lane->receive()) {
    if (frame->has_drain()) break;
  }
  worker_->signal(SIGTERM);
  read_answer(*lane, 1, answer);
  ASSERT_TRUE(answer.failed) << "the router hears of what was given up";
  EXPECT_TRUE(answer.failed->elsewhere());
  EXPECT_EQ(worker_->wait(5), 0);
}

TEST_F(ServiceTest, AtTheDrainsDeadlineWhatRunsIsHandedOffAndGoesOnElsewhere) {
  // So many that the deadline finds them running, so few that a sanitizer ends with them.
  constexpr uint32_t kTokens = 600;
  const std::string patient = "lease_ms=60000";  // the client under test sends no pings
  start({"drain_ms=100", patient});
  const v1::RouterFrame asked = start_frame(1, kPrompt, kTokens);
  const auto lane = client_->open_lane();
  ASSERT_TRUE(lane->send(hello_frame({Feature::handoff})) && lane->send(asked));
  Answer answer;
  read_answer(*lane, 1, answer, 1);
  worker_->signal(SIGTERM);
  read_answer(*lane, 1, answer);
  ASSERT_TRUE(answer.handoff) << (answer.failed ? answer.failed->detail() : "it ended");
  EXPECT_THAT(answer.handoff->next_offset(), ElementsAre(answer.ids[0].size()));
  EXPECT_EQ(worker_->wait(10), 0);
  start({patient});
  v1::RouterFrame again = asked;
  again.mutable_start()->set_epoch(1);
  again.mutable_start()->mutable_resume()->add_choices()->mutable_ids()->Add(answer.ids[0].begin(),
                                                                             answer.ids[0].end());
  const Answer rest = ask(*client_->open_lane(), again);
  ASSERT_TRUE(rest.done);
  ASSERT_EQ(answer.ids[0].size() + rest.ids[0].size(), size_t{kTokens});
  const Answer whole = ask(*client_->open_lane(), start_frame(1, kPrompt, kTokens));
  ASSERT_TRUE(whole.done);
  std::vector<uint32_t> both = answer.ids[0];
  both.insert(both.end(), rest.ids[0].begin(), rest.ids[0].end());
  EXPECT_EQ(both, whole.ids[0]);
}

TEST_F(ServiceTest, APortInUseIsAnErrorAtStart) {
  start();
  WorkerProcess second({"model=" + model_path(), "port=" + std::to_string(worker_->port())});
  EXPECT_EQ(second.port(), 0);
  EXPECT_EQ(second.wait(10), 1);
}

TEST_F(ServiceTest, AMissingModelIsAnErrorAtStart) {
  WorkerProcess worker({"model=/nowhere/model.gguf"});
  EXPECT_EQ(worker.port(), 0);
  EXPECT_EQ(worker.wait(10), 1);
}

}  // namespace
}  // namespace bessemer::testing

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "worker")
    return bessemer::testing::run_worker_process(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
