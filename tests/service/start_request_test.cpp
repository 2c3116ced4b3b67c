#include "worker/service/start_request.h"

#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/range.h"
#include "proto/features.h"
#include "tests/service/fake_host.h"

namespace bessemer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WorkerFacts kFacts = small_facts();

Request accepted(const v1::Start& start) {
  const auto refusal = check_start(start, kFacts);
  EXPECT_FALSE(refusal) << refusal->detail;
  auto result = to_request(start, kFacts);
  EXPECT_TRUE(std::holds_alternative<Request>(result));
  return std::holds_alternative<Request>(result) ? std::get<Request>(result) : Request{};
}

TEST(StartRequest, DefaultsAreTheProtocols) {
  v1::Start start = small_start(1);
  start.mutable_generate()->set_max_tokens(0);
  const Request request = accepted(start);
  EXPECT_THAT(request.prompt, ElementsAre(5, 6, 7));
  EXPECT_EQ(request.n, 1);
  EXPECT_EQ(request.max_tokens, 61);  // what the context leaves
  EXPECT_EQ(request.top_logprobs, -1);
  EXPECT_EQ(request.prompt_logprobs, -1);
  EXPECT_EQ(request.sampling.temperature, 1.0f);
  EXPECT_EQ(request.sampling.top_p, 1.0f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.0f);
  EXPECT_THAT(slice(request.tokens, request.sampling.stop_ids), ElementsAre(2));  // the model's own
  EXPECT_EQ(request.deadline, TimePoint::max());
}

TEST(StartRequest, CarriesEveryParameter) {
  v1::Start start = small_start(1);
  v1::Generate& g = *start.mutable_generate();
  g.set_seed(99);
  g.set_n(3);
  g.set_max_tokens(9);
  g.set_min_tokens(2);
  g.add_stop_ids(11);
  g.set_temperature(0.5f);
  g.set_top_p(0.9f);
  g.set_top_k(40);
  g.set_min_p(0.1f);
  g.set_typical_p(0.8f);
  g.set_frequency_penalty(0.25f);
  g.set_presence_penalty(-0.5f);
  g.set_repetition_penalty(1.25f);
  g.add_bias_ids(7);
  g.add_bias(-2.0f);
  g.add_allowed_ids(8);
  g.add_banned()->add_ids(3);
  g.mutable_banned(0)->add_ids(4);
  g.set_logprobs(0);
  g.set_prompt_logprobs(5);
  start.set_send_until(7);
  start.mutable_admission()->set_priority(-3);
  start.mutable_admission()->set_remaining_ms(1500);
  start.mutable_cache()->set_root("tenant");
  start.mutable_cache()->set_no_store(true);
  const Request request = accepted(start);
  const SamplingParams& p = request.sampling;
  EXPECT_EQ(p.seed, 99u);
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(p.min_tokens, 2);
  EXPECT_THAT(slice(request.tokens, p.stop_ids), ElementsAre(11, 2));
  EXPECT_EQ(p.temperature, 0.5f);
  EXPECT_EQ(p.top_p, 0.9f);
  EXPECT_EQ(p.top_k, 40);
  EXPECT_EQ(p.min_p, 0.1f);
  EXPECT_EQ(p.typical_p, 0.8f);
  EXPECT_EQ(p.frequency_penalty, 0.25f);
  EXPECT_EQ(p.presence_penalty, -0.5f);
  EXPECT_EQ(p.repetition_penalty, 1.25f);
  EXPECT_THAT(slice(request.tokens, p.bias_ids), ElementsAre(7));
  EXPECT_THAT(slice(request.floats, p.bias), ElementsAre(-2.0f));
  EXPECT_THAT(slice(request.tokens, p.allowed_ids), ElementsAre(8));
  EXPECT_THAT(slice(request.tokens, p.banned), ElementsAre(2, 3, 4));
  EXPECT_EQ(request.top_logprobs, 0);
  EXPECT_EQ(request.prompt_logprobs, 5);
  EXPECT_EQ(request.send_until, 7);
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.cache_root, "tenant");
  EXPECT_FALSE(request.cache_store);
}

TEST(StartRequest, IgnoreEosLeavesOnlyTheRequestsOwnStops) {
  v1::Start start = small_start(1);
  start.mutable_generate()->set_ignore_eos(true);
  EXPECT_EQ(accepted(start).sampling.stop_ids.count, 0);
}

struct Case {
  const char* name;
  std::function<void(v1::Start&)> spoil;
  v1::RejectReason reason;
  const char* says;
};

class Refused : public ::testing::TestWithParam<Case> {};

TEST_P(Refused, WithTheFieldsName) {
  v1::Start start = small_start(1);
  GetParam().spoil(start);
  const auto refusal = check_start(start, kFacts);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->reason, GetParam().reason);
  EXPECT_THAT(refusal->detail, HasSubstr(GetParam().says));
}

v1::Generate& generate(v1::Start& start) {
  return *start.mutable_generate();
}

INSTANTIATE_TEST_SUITE_P(
    Fields, Refused,
    ::testing::Values(
        Case{"ShortId", [](auto& s) { s.set_request_id("abc"); }, v1::REJECT_BAD_INPUT,
             "request_id"},
        Case{"UnknownFeature", [](auto& s) { s.add_required_features(99); }, v1::REJECT_UNSUPPORTED,
             "feature 99"},
        Case{"OtherCard", [](auto& s) { s.set_card_hash("beef"); }, v1::REJECT_WRONG_CARD,
             "c0ffee"},
        Case{"Adapter", [](auto& s) { s.set_adapter("lora"); }, v1::REJECT_NO_ADAPTER, "lora"},
        Case{"Embed", [](auto& s) { s.mutable_embed(); }, v1::REJECT_UNSUPPORTED, "embed"},
        Case{"Score", [](auto& s) { s.mutable_score(); }, v1::REJECT_UNSUPPORTED, "score"},
        Case{"Transcribe", [](auto& s) { s.mutable_transcribe(); }, v1::REJECT_UNSUPPORTED,
             "transcribe"},
        Case{"Speak", [](auto& s) { s.mutable_speak(); }, v1::REJECT_UNSUPPORTED, "speak"},
        Case{"NoTask", [](auto& s) { s.clear_task(); }, v1::REJECT_BAD_INPUT, "no task"},
        Case{"ResumeOfOtherChoices", [](auto& s) { s.mutable_resume(); }, v1::REJECT_BAD_INPUT,
             "resume.choices has 0"},
        Case{"ResumeWithPromptLogprobs",
             [](auto& s) {
               s.mutable_resume()->add_choices();
               generate(s).set_prompt_logprobs(1);
             },
             v1::REJECT_BAD_INPUT, "prompt_logprobs"},
        Case{"Kv", [](auto& s) { s.mutable_kv(); }, v1::REJECT_UNSUPPORTED, "kv"},
        Case{"DetachMs", [](auto& s) { s.set_detach_ms(1); }, v1::REJECT_UNSUPPORTED, "detach_ms"},
        Case{"LongCacheRoot", [](auto& s) { s.mutable_cache()->set_root(std::string(513, 'x')); },
             v1::REJECT_BAD_INPUT, "cache.root has 513 bytes"},
        Case{"Weight", [](auto& s) { s.mutable_admission()->set_weight(2); },
             v1::REJECT_UNSUPPORTED, "weight"},
        Case{"Class", [](auto& s) { s.mutable_admission()->set_service_class(1); },
             v1::REJECT_UNSUPPORTED, "service_class"},
        Case{"Parts", [](auto& s) { s.mutable_input()->add_parts(); }, v1::REJECT_UNSUPPORTED,
             "parts"},
        Case{"Lengths", [](auto& s) { s.mutable_input()->add_sequence_lengths(1); },
             v1::REJECT_UNSUPPORTED, "sequence_lengths"},
        Case{"Bytes", [](auto& s) { s.mutable_input()->set_total_bytes(1); },
             v1::REJECT_UNSUPPORTED, "total_bytes"},
        Case{"Grammar", [](auto& s) { generate(s).mutable_grammar(); }, v1::REJECT_UNSUPPORTED,
             "grammar"},
        Case{"PrefillOnly", [](auto& s) { generate(s).set_prefill_only(true); },
             v1::REJECT_UNSUPPORTED, "prefill_only"},
        Case{"Reasoning", [](auto& s) { generate(s).set_reasoning_budget(0); },
             v1::REJECT_UNSUPPORTED, "reasoning_budget"},
        Case{"NoIds", [](auto& s) { s.mutable_input()->clear_ids(); }, v1::REJECT_BAD_INPUT, "ids"},
        Case{"MissingIds", [](auto& s) { s.mutable_input()->set_total_ids(9); },
             v1::REJECT_BAD_INPUT, "total_ids is 9"},
        Case{"TooManyIds", [](auto& s) { s.mutable_input()->set_total_ids(2); },
             v1::REJECT_BAD_INPUT, "total_ids is 2"},
        Case{"TooLong", [](auto& s) { generate(s).set_max_tokens(62); }, v1::REJECT_TOO_LARGE,
             "64"},
        Case{"HugeMaxTokens", [](auto& s) { generate(s).set_max_tokens(UINT32_MAX); },
             v1::REJECT_TOO_LARGE, "64"},
        Case{"ManyChoices", [](auto& s) { generate(s).set_n(9); }, v1::REJECT_TOO_LARGE, "n is 9"},
        Case{"MinAboveMax", [](auto& s) { generate(s).set_min_tokens(5); }, v1::REJECT_BAD_INPUT,
             "min_tokens"},
        Case{"Logprobs", [](auto& s) { generate(s).set_logprobs(21); }, v1::REJECT_BAD_INPUT,
             "logprobs is 21"},
        Case{"PromptLogprobs", [](auto& s) { generate(s).set_prompt_logprobs(21); },
             v1::REJECT_BAD_INPUT, "prompt_logprobs is 21"},
        Case{"HugeTopK", [](auto& s) { generate(s).set_top_k(UINT32_MAX); }, v1::REJECT_BAD_INPUT,
             "top_k"},
        Case{"Temperature", [](auto& s) { generate(s).set_temperature(-1); }, v1::REJECT_BAD_INPUT,
             "temperature"},
        Case{"NotANumber", [](auto& s) { generate(s).set_temperature(NAN); }, v1::REJECT_BAD_INPUT,
             "temperature"},
        Case{"TopP", [](auto& s) { generate(s).set_top_p(0); }, v1::REJECT_BAD_INPUT, "top_p"},
        Case{"BiasCounts", [](auto& s) { generate(s).add_bias(1); }, v1::REJECT_BAD_INPUT, "bias"},
        Case{"BiasId", [](auto& s) { generate(s).add_bias(1), generate(s).add_bias_ids(100); },
             v1::REJECT_BAD_INPUT, "bias"},
        Case{"StopId", [](auto& s) { generate(s).add_stop_ids(UINT32_MAX); }, v1::REJECT_BAD_INPUT,
             "stop"},
        Case{"AllowedId", [](auto& s) { generate(s).add_allowed_ids(100); }, v1::REJECT_BAD_INPUT,
             "allowed"},
        Case{"EmptyBan", [](auto& s) { generate(s).add_banned(); }, v1::REJECT_BAD_INPUT,
             "banned"}),
    [](const auto& info) { return info.param.name; });

TEST(StartRequest, RefusesIdsOutsideTheVocabulary) {
  const auto result = to_request(small_start(1, {5, 100}), kFacts);
  ASSERT_TRUE(std::holds_alternative<Refusal>(result));
  EXPECT_EQ(std::get<Refusal>(result).reason, v1::REJECT_BAD_INPUT);
  EXPECT_THAT(std::get<Refusal>(result).detail, HasSubstr("input.ids[1]"));
}

TEST(StartRequest, MustQueueLeavesTheEstimateUnheeded) {
  v1::Start start = small_start(1);
  EXPECT_EQ(accepted(start).max_ttft_us, 0);
  start.mutable_admission()->set_max_est_ttft_us(5000);
  EXPECT_EQ(accepted(start).max_ttft_us, 5000);
  start.mutable_admission()->set_must_queue(true);
  EXPECT_EQ(accepted(start).max_ttft_us, 0);
}

TEST(StartRequest, AResumeNamesWhatEachChoiceHasDelivered) {
  v1::Start start = small_start(1);
  start.mutable_generate()->set_n(2);
  v1::Delivered& first = *start.mutable_resume()->add_choices();
  first.add_ids(8);
  first.add_ids(9);
  start.mutable_resume()->add_choices()->set_end(v1::END_STOP);
  const Request request = accepted(start);
  ASSERT_EQ(request.resumed.size(), 2u);
  EXPECT_THAT(request.resumed[0].ids, ElementsAre(8, 9));
  EXPECT_FALSE(request.resumed[0].ended);
  EXPECT_TRUE(request.resumed[1].ended);
}

TEST(StartRequest, AResumeIsCheckedAgainstWhatTheRequestMayHave) {
  const auto detail_of = [](std::vector<uint32_t> ids) {
    v1::Start start = small_start(1);
    start.mutable_resume()->add_choices()->mutable_ids()->Add(ids.begin(), ids.end());
    const auto result = to_request(start, kFacts);
    return std::holds_alternative<Refusal>(result) ? std::get<Refusal>(result).detail : "none";
  };
  EXPECT_EQ(detail_of({1, 2, 3, 4}), "none");
  EXPECT_THAT(detail_of({1, 2, 3, 4, 5}), HasSubstr("5 tokens, more than the 4"));
  EXPECT_THAT(detail_of({1, 100}), HasSubstr("resume.choices[0].ids[1]"));
}

TEST(StartRequest, OffersWhatItHonours) {
  EXPECT_THAT(offered_features(),
              ::testing::IsSupersetOf({static_cast<uint32_t>(Feature::generate),
                                       static_cast<uint32_t>(Feature::typical_p),
                                       static_cast<uint32_t>(Feature::resume)}));
}

}  // namespace
}  // namespace bessemer::testing
