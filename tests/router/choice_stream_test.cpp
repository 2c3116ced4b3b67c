// Ids to what is sent, and requests to ids, without sockets or workers.
#include "router/endpoints/choice_stream.h"

#include <gtest/gtest.h>

#include "bench/mock_worker/mock_model.h"
#include "common/random.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

std::shared_ptr<const ModelView> mock_view() {
  static const auto view = [] {
    const MockModel model;
    auto made = std::make_shared<ModelView>();
    const auto vocabulary = model.vocabulary();
    made->card = std::make_shared<const v1::ModelCard>(model.card(vocabulary.SerializeAsString()));
    auto text = make_model_text(vocabulary);
    EXPECT_TRUE(text.ok()) << text.status();
    made->text = *text;
    return made;
  }();
  return view;
}

ClusterView mock_cluster() {
  ClusterView view;
  view.models["mock"] = mock_view();
  return view;
}

PreparedRequest prepared_completion(const std::string& more) {
  auto result =
      prepare(ApiKind::completion, R"({"model":"mock","prompt":"p",)" + more + "}", mock_cluster());
  EXPECT_TRUE(std::holds_alternative<PreparedRequest>(result));
  return std::get<PreparedRequest>(std::move(result));
}

std::vector<uint32_t> bytes_as_ids(const std::string& text) {
  std::vector<uint32_t> ids;
  for (const char byte : text) {
    ids.push_back(MockModel::kFirstByte + static_cast<uint32_t>(static_cast<unsigned char>(byte)));
  }
  return ids;
}

v1::ChoiceEnd end_of(v1::EndReason reason, std::optional<uint32_t> stop_id = std::nullopt) {
  v1::ChoiceEnd end;
  end.set_reason(reason);
  if (stop_id) end.set_stop_id(*stop_id);
  return end;
}

// Pushes `ids` in random pieces and takes at random moments.
std::string run(ChoiceStream& choice, const std::vector<uint32_t>& ids, const v1::ChoiceEnd& end,
                Random& random) {
  std::string text;
  const auto take = [&] {
    if (const auto delta = choice.take()) text += delta->text;
  };
  for (size_t at = 0; at < ids.size();) {
    const size_t count = std::min<size_t>(1 + random.below(4), ids.size() - at);
    choice.push(std::span(ids).subspan(at, count), {});
    at += count;
    if (random.chance(0.5)) take();
  }
  choice.end(end);
  take();
  return text;
}

TEST(ChoiceStream, TheTextDoesNotDependOnThePieces) {
  const auto prepared = prepared_completion(R"("max_tokens":100)");
  const std::string text = "plain, wörld, 🙂 and 漢字";
  for (uint64_t seed = 0; seed < 50; seed++) {
    Random random(seed);
    ChoiceStream choice(prepared, 0, 0);
    EXPECT_EQ(run(choice, bytes_as_ids(text), end_of(v1::END_LENGTH), random), text);
    EXPECT_EQ(choice.finish().reason, FinishReason::length);
    EXPECT_EQ(choice.generated(), static_cast<int64_t>(text.size()));
  }
}

TEST(ChoiceStream, AStopStringEndsItWhereverItIsCut) {
  const auto prepared = prepared_completion(R"("max_tokens":100,"stop":["STOP","🙂"])");
  for (uint64_t seed = 0; seed < 50; seed++) {
    Random random(seed);
    ChoiceStream choice(prepared, 0, 0);
    EXPECT_EQ(run(choice, bytes_as_ids("so SO far STOP and on"), end_of(v1::END_LENGTH), random),
              "so SO far ");
    EXPECT_EQ(choice.finish().stop_string, "STOP");
    EXPECT_EQ(choice.generated(), 14);  // not what came behind
    ChoiceStream emoji(prepared, 0, 0);
    EXPECT_EQ(run(emoji, bytes_as_ids("a🙂b"), end_of(v1::END_LENGTH), random), "a");
  }
}

TEST(ChoiceStream, AHeldBackBeginningOfAStopComesOutAtTheEnd) {
  const auto prepared = prepared_completion(R"("max_tokens":100,"stop":["STOP"])");
  Random random(1);
  ChoiceStream choice(prepared, 0, 0);
  EXPECT_EQ(run(choice, bytes_as_ids("almost STO"), end_of(v1::END_LENGTH), random), "almost STO");
}

TEST(ChoiceStream, HalfACharacterAtTheEndBecomesAReplacement) {
  const auto prepared = prepared_completion(R"("max_tokens":100)");
  Random random(1);
  ChoiceStream choice(prepared, 0, 0);
  EXPECT_EQ(run(choice, bytes_as_ids("a\xc3"), end_of(v1::END_LENGTH), random), "a\xef\xbf\xbd");
}

TEST(ChoiceStream, StopTokensAreSilentUnlessIncluded) {
  const std::string ask =
      R"("max_tokens":100,"stop_token_ids":[)" + std::to_string(MockModel::kFirstByte + '.') + "]";
  const uint32_t dot = MockModel::kFirstByte + '.';
  Random random(1);
  const auto silent = prepared_completion(ask);
  ChoiceStream without(silent, 0, 0);
  EXPECT_EQ(run(without, bytes_as_ids("end"), end_of(v1::END_STOP, dot), random), "end");
  EXPECT_EQ(without.generated(), 3);
  EXPECT_EQ(without.finish().stop_id, static_cast<int32_t>(dot));
  const auto loud = prepared_completion(ask + R"(,"include_stop_str_in_output":true)");
  ChoiceStream with(loud, 0, 0);
  EXPECT_EQ(run(with, bytes_as_ids("end"), end_of(v1::END_STOP, dot), random), "end.");
}

TEST(ChoiceStream, EchoComesFirstAndOffsetsCountCharacters) {
  auto result = prepare(ApiKind::completion,
                        R"({"model":"mock","prompt":"wö","echo":true,"logprobs":1,"max_tokens":9})",
                        mock_cluster());
  const auto& prepared = std::get<PreparedRequest>(result);
  ChoiceStream choice(prepared, 0, 0);
  choice.echo({bare_report(prepared.prompts[0].ids[0], *mock_view()->text->tokenizer, 0)});
  const auto ids = bytes_as_ids("öz");
  std::vector<v1::Logprobs> logprobs(ids.size());
  std::vector<const v1::Logprobs*> pointers;
  for (size_t i = 0; i < ids.size(); i++) {
    logprobs[i].set_index(static_cast<uint32_t>(i));
    logprobs[i].add_ids(ids[i]);
    logprobs[i].add_values(-1);
    pointers.push_back(&logprobs[i]);
  }
  choice.push(ids, pointers);
  const auto delta = choice.take();
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->text, "wööz");
  ASSERT_EQ(delta->tokens.size(), 4u);
  EXPECT_EQ(delta->tokens[1].text_offset, 2);
  EXPECT_EQ(delta->tokens[3].text_offset, 3);
}

TEST(Prepare, ChecksWhatOnlyTheModelKnows) {
  const auto error_of = [](ApiKind kind, const std::string& body) {
    const auto result = prepare(kind, body, mock_cluster());
    EXPECT_TRUE(std::holds_alternative<RefusedRequest>(result)) << body;
    return std::holds_alternative<RefusedRequest>(result) ? std::get<RefusedRequest>(result).error
                                                          : ApiError();
  };
  EXPECT_EQ(error_of(ApiKind::completion, R"({"model":"other","prompt":"a"})").status, 404);
  EXPECT_EQ(error_of(ApiKind::completion, R"({"model":"mock","prompt":""})").param, "prompt");
  const auto too_long =
      error_of(ApiKind::completion, R"({"model":"mock","prompt":"abc","max_tokens":32766})");
  EXPECT_EQ(too_long.code, "context_length_exceeded");
  EXPECT_NE(too_long.message.find("32768"), std::string::npos);
  EXPECT_EQ(error_of(ApiKind::completion, R"({"model":"mock","prompt":[1,999999]})").param,
            "prompt");
  EXPECT_EQ(
      error_of(ApiKind::completion, R"({"model":"mock","prompt":"a","stop_token_ids":[999999]})")
          .param,
      "stop_token_ids");
  EXPECT_EQ(error_of(ApiKind::completion,
                     R"({"model":"mock","prompt":"a","max_tokens":2,"min_tokens":3})")
                .param,
            "min_tokens");
}

TEST(Prepare, TruncationKeepsTheEnd) {
  auto result =
      prepare(ApiKind::completion,
              R"({"model":"mock","prompt":"abcdef","truncate_prompt_tokens":2})", mock_cluster());
  const auto& prepared = std::get<PreparedRequest>(result);
  EXPECT_EQ(prepared.prompts[0].ids,
            (std::vector<int32_t>{MockModel::kFirstByte + 'e', MockModel::kFirstByte + 'f'}));
}

// Whatever is in it: the text is not even read.
TEST(Prepare, TextsThatCannotFitAreRefusedByTheirBytes) {
  const std::string text(size_t{4} << 20, 'x');
  const auto error_of = [](ApiKind kind, const std::string& body) {
    return std::get<RefusedRequest>(prepare(kind, body, mock_cluster())).error;
  };
  const auto prompt = error_of(ApiKind::completion, R"({"model":"mock","prompt":")" + text + "\"}");
  EXPECT_EQ(prompt.code, "context_length_exceeded");
  EXPECT_EQ(prompt.param, "prompt");
  EXPECT_NE(prompt.message.find("4194304 bytes"), std::string::npos);
  const auto chat = error_of(
      ApiKind::chat, R"({"model":"mock","messages":[{"role":"user","content":")" + text + "\"}]}");
  EXPECT_EQ(chat.param, "messages");
  EXPECT_NE(chat.message.find("at least"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<PreparedRequest>(prepare(
      ApiKind::completion,
      R"({"model":"mock","truncate_prompt_tokens":5,"prompt":")" + text + "\"}", mock_cluster())));
}

TEST(ChoiceStream, StopStringsEndNothingBeforeTheTokensThatThereMustBe) {
  const auto text_of = [](const std::string& min_tokens) {
    const auto prepared = prepared_completion(R"("max_tokens":20,"stop":["b"],)" + min_tokens);
    ChoiceStream choice(prepared, 0, 0);
    choice.push(bytes_as_ids("abcabca"), {});
    const auto taken = choice.take();
    return (taken ? taken->text : "") + (choice.finished() ? "|" : "");
  };
  EXPECT_EQ(text_of(R"("min_tokens":0)"), "a|");
  EXPECT_EQ(text_of(R"("min_tokens":2)"), "abca|");
  EXPECT_EQ(text_of(R"("min_tokens":5)"), "abcabca");
}

TEST(Prepare, EchoRepeatsWhatTruncationKept) {
  const auto echoed = [](const std::string& prompt, const std::string& more) {
    auto result =
        prepare(ApiKind::completion,
                R"({"model":"mock","echo":true,"prompt":)" + prompt + more + "}", mock_cluster());
    return std::get<PreparedRequest>(result).prompts[0].text;
  };
  EXPECT_EQ(echoed(R"("abcdef")", R"(,"truncate_prompt_tokens":2)"), "ef");
  EXPECT_EQ(echoed(R"("abcdef")", R"(,"truncate_prompt_tokens":6)"), "abcdef");
  const auto id = [](char c) { return std::to_string(MockModel::kFirstByte + c); };
  EXPECT_EQ(echoed("[" + id('a') + "," + id('b') + "]", R"(,"truncate_prompt_tokens":1)"), "b");
}

TEST(Prepare, ChatGoesThroughTheTemplate) {
  auto result =
      prepare(ApiKind::chat, R"({"model":"mock","messages":[{"role":"user","content":"a"}]})",
              mock_cluster());
  const auto& prepared = std::get<PreparedRequest>(result);
  const auto& ids = prepared.prompts[0].ids;
  EXPECT_EQ(ids.front(), MockModel::kTurnStart);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), MockModel::kTurnStart), 2);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), MockModel::kTurnEnd), 1);
  EXPECT_EQ(prepared.prompts[0].max_tokens, 32768 - static_cast<int32_t>(ids.size()));
}

TEST(BuildStart, SaysWhatIsNeededAndNothingElse) {
  const auto plain = prepared_completion(R"("max_tokens":3)");
  const auto start = build_start(plain, 0, 9, std::string(16, 'x'));
  EXPECT_EQ(required_feature_bits(start), 1u << 1);
  EXPECT_EQ(start.generate().seed(), 9u);
  EXPECT_EQ(start.generate().max_tokens(), 3u);
  EXPECT_FALSE(start.generate().has_temperature());
  EXPECT_FALSE(start.generate().has_logprobs());
  const auto full = prepared_completion(
      R"("n":2,"temperature":0.5,"min_p":0.1,"frequency_penalty":1,"logit_bias":{"5":-1},"logprobs":3,"bad_words":["no"])");
  const auto rich = build_start(full, 0, 9, std::string(16, 'x'));
  for (const uint32_t feature : {1, 2, 3, 4, 5, 7, 9}) {
    EXPECT_TRUE(required_feature_bits(rich) >> feature & 1) << feature;
  }
  EXPECT_FLOAT_EQ(rich.generate().temperature(), 0.5f);
  EXPECT_EQ(rich.generate().bias_ids(0), 5u);
  EXPECT_EQ(rich.generate().logprobs(), 3u);
  EXPECT_EQ(rich.generate().banned_size(), 2);
}

TEST(BuildStart, ACacheSaltIsTheRootOfWhatIsShared) {
  EXPECT_FALSE(build_start(prepared_completion(R"("max_tokens":3)"), 0, 9, "id").has_cache());
  const auto salted = prepared_completion(R"("max_tokens":3,"cache_salt":"mine")");
  const auto start = build_start(salted, 0, 9, std::string(16, 'x'));
  EXPECT_EQ(start.cache().root(), "mine");
  EXPECT_TRUE(required_feature_bits(start) >> 11 & 1) << "a worker must know it";
}

}  // namespace
}  // namespace bessemer
