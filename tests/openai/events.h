// Random events of one answer, for the property test and for the samples that the official client
// reads.
#pragma once
#include <string>
#include <vector>

#include "common/random.h"
#include "router/openai/render.h"

namespace bessemer {

struct AnswerScript {
  ValidRequest request;
  AnswerHead head;
  std::vector<ChoiceText> texts;       // interleaved between choices
  std::vector<ChoiceFinish> finishes;  // one per choice
  UsageReport usage;
};

inline std::string random_text(Random& random) {
  static const char* const kPieces[] = {
      "a",  " the", "\n",   "\"", "\\",     "\xC3\xA9", "\xF0\x9F\x98\x80", "\t",
      "{}", "\x01", "</s>", "",   "data: ", "\r\n\r\n", "\xE2\x80\xA8"};
  std::string text;
  for (uint64_t i = random.below(4); i > 0; --i) text += kPieces[random.below(std::size(kPieces))];
  return text;
}

inline TokenText random_token(Random& random) {
  static const char* const kBytes[] = {"a",  " b", "\xF0\x9F", "\x98\x80", "\xC3\xA9",
                                       "\"", "",   "\n",       "\xFF"};
  TokenText token;
  token.id = static_cast<int32_t>(random.below(50'000));
  token.bytes = kBytes[random.below(std::size(kBytes))];
  token.logprob =
      random.chance(0.02) ? -__builtin_inff() : -static_cast<float>(random.uniform() * 20);
  return token;
}

inline ChoiceText random_delta(Random& random, const ValidRequest& request, int32_t choice) {
  ChoiceText delta;
  delta.choice = choice;
  delta.text = random_text(random);
  delta.token_count = static_cast<int32_t>(random.below(3));
  for (int32_t i = 0; i < delta.token_count; ++i) {
    if (request.return_token_ids) delta.ids.push_back(static_cast<int32_t>(random.below(50'000)));
    if (request.top_logprobs < 0) continue;
    TokenReport report;
    report.chosen = random_token(random);
    report.logprob = report.chosen.logprob;
    report.text_offset = static_cast<int32_t>(random.below(1000));
    for (int32_t k = 0; k < request.top_logprobs; ++k) report.top.push_back(random_token(random));
    delta.tokens.push_back(std::move(report));
  }
  return delta;
}

inline AnswerScript random_script(uint64_t seed, ApiKind kind) {
  Random random(seed);
  AnswerScript script;
  ValidRequest& request = script.request;
  request.kind = kind;
  request.n = static_cast<int32_t>(random.between(1, 3));
  const auto prompts = static_cast<int32_t>(kind == ApiKind::chat ? 1 : random.between(1, 2));
  request.top_logprobs = static_cast<int32_t>(random.between(-1, 2));
  request.return_token_ids = random.chance(0.3);
  request.include_usage = random.chance(0.5);
  request.continuous_usage_stats = request.include_usage && random.chance(0.5);
  script.head.id = "id-" + std::to_string(seed);
  script.head.created = 1'700'000'000;
  script.head.model = "model \"\xC3\xA9\"";
  script.head.choices = prompts * request.n;
  if (request.return_token_ids)
    script.head.prompt_ids.assign(static_cast<size_t>(prompts), {1, 2, 3});
  for (uint64_t i = random.below(20); i > 0; --i) {
    const auto choice =
        static_cast<int32_t>(random.below(static_cast<uint64_t>(script.head.choices)));
    script.texts.push_back(random_delta(random, request, choice));
  }
  for (int32_t choice = 0; choice < script.head.choices; ++choice) {
    ChoiceFinish finish;
    finish.choice = choice;
    finish.reason = random.chance(0.5) ? FinishReason::length : FinishReason::stop;
    if (random.chance(0.3)) finish.stop_string = random_text(random);
    script.finishes.push_back(finish);
  }
  script.usage = {.prompt_tokens = 12, .completion_tokens = 34, .cached_tokens = 5};
  return script;
}

// All frames of a stream, or the whole body.
inline std::string play(const AnswerScript& script, bool stream) {
  ValidRequest request = script.request;
  request.stream = stream;
  const auto answer = make_answer(request, script.head);
  std::string out = answer->begin();
  for (const ChoiceText& delta : script.texts) out += answer->text(delta);
  for (const ChoiceFinish& finish : script.finishes) out += answer->finish(finish);
  return out + answer->end(script.usage);
}

}  // namespace bessemer
