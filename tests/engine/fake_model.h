// A model without arithmetic: what stands for the KV of a row is a hash of all tokens up to it, and
// what is drawn is a hash of that. A token is right only if every row below it was read from the
// right block; and what a request must answer is known without any scheduler.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/request.h"

namespace bessemer::fake {

using RowHash = uint64_t;
constexpr RowHash kBeforeFirst = 0x243f6a8885a308d3;  // "the row before the first"
constexpr RowHash kPoison = 0xdeadbeefdeadbeef;       // what a freed block holds
constexpr RowHash kSpoiled = 0xbad0bad0bad0bad0;      // what a failed step has left

inline uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = (a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
inline RowHash next_row(RowHash before, int32_t token) {
  return before == kSpoiled ? kSpoiled : mix(before, static_cast<uint64_t>(token));
}

struct DrawKey {
  uint64_t seed = 0;
  int32_t choice = 0, position = 0, generated = 0, min_tokens = 0;
  std::span<const int32_t> stop_ids;
};
inline int32_t draw(RowHash row, const DrawKey& key, int32_t vocab) {
  uint64_t h = mix(mix(row, key.seed),
                   mix(static_cast<uint64_t>(key.choice), static_cast<uint64_t>(key.position)));
  int32_t token = static_cast<int32_t>(h % static_cast<uint64_t>(vocab));
  const auto stops = [&] { return std::ranges::find(key.stop_ids, token) != key.stop_ids.end(); };
  while (key.generated < key.min_tokens && stops()) token = (token + 1) % vocab;
  return token;
}
// The chosen or scored token first, then `top` others.
inline std::vector<Logprob> logprobs(RowHash row, int32_t token, int32_t top) {
  std::vector<Logprob> all;
  for (int32_t i = 0; i <= top; ++i) {
    const uint64_t h = mix(row, static_cast<uint64_t>(token + i));
    all.push_back({token + i, -static_cast<float>(h % 4096), i + 1});
  }
  return all;
}

struct Answer {
  std::vector<int32_t> ids;
  std::vector<Logprob> logprobs;
  EndReason reason = EndReason::length;
  int32_t stop_id = -1;
};
// What choice `choice` of `request` answers when nothing disturbs it.
inline Answer answer(const Request& request, int32_t choice, int32_t vocab, int32_t max_len) {
  Answer answer;
  const auto stops = slice(request.tokens, request.sampling.stop_ids);
  RowHash row = kBeforeFirst;
  for (const int32_t id : request.prompt) row = next_row(row, id);
  const int32_t prompt = static_cast<int32_t>(request.prompt.size());
  const int32_t limit = std::min(request.max_tokens, max_len - prompt);
  for (int32_t i = 0; i < limit; ++i) {
    const int32_t token = draw(
        row, {request.sampling.seed, choice, prompt + i, i, request.sampling.min_tokens, stops},
        vocab);
    if (std::ranges::find(stops, token) != stops.end()) {
      answer.reason = EndReason::stop;
      answer.stop_id = token;
      return answer;
    }
    answer.ids.push_back(token);
    if (request.top_logprobs >= 0)
      append(answer.logprobs, logprobs(row, token, request.top_logprobs));
    row = next_row(row, token);
  }
  return answer;
}
// Scores of prompt[1], prompt[2] ...
inline std::vector<Logprob> prompt_scores(const Request& request) {
  std::vector<Logprob> scores;
  RowHash row = kBeforeFirst;
  for (size_t i = 0; i + 1 < request.prompt.size(); ++i) {
    row = next_row(row, request.prompt[i]);
    append(scores, logprobs(row, request.prompt[i + 1], request.prompt_logprobs));
  }
  return scores;
}

}  // namespace bessemer::fake
