#include "worker/sampling/adjust.h"

#include <algorithm>

#include "worker/sampling/row.h"

namespace bessemer {
namespace {

bool in_row(std::span<const float> row, int32_t id) {
  return id >= 0 && static_cast<size_t>(id) < row.size();
}

void add_bias(std::span<float> row, const SampleInput& input) {
  for (size_t i = 0; i < input.bias_ids.size(); ++i) {
    if (in_row(row, input.bias_ids[i]))
      row[static_cast<size_t>(input.bias_ids[i])] += input.bias[i];
  }
}

// Calls edit(logit, occurrences) once for each distinct token of `tokens`; leaves `counts` as it
// found them, all zero.
template <typename Edit>
void for_each_distinct(std::span<float> row, std::span<const int32_t> tokens,
                       std::vector<int32_t>& counts, Edit edit) {
  for (const int32_t id : tokens) {
    if (in_row(row, id)) ++counts[static_cast<size_t>(id)];
  }
  for (const int32_t id : tokens) {
    if (!in_row(row, id)) continue;
    int32_t& count = counts[static_cast<size_t>(id)];
    if (count > 0) edit(row[static_cast<size_t>(id)], count);
    count = 0;
  }
}

std::span<const int32_t> output_of(const SampleInput& input) {
  const size_t prompt = static_cast<size_t>(std::max(input.prompt_len, 0));
  return input.history.subspan(std::min(prompt, input.history.size()));
}

void penalise(std::span<float> row, const SampleInput& input, std::vector<int32_t>& counts) {
  const SamplingParams& p = *input.params;
  if (p.repetition_penalty != 1.0f) {
    for_each_distinct(row, input.history, counts, [&](float& logit, int32_t) {
      logit = logit > 0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
    });
  }
  if (p.frequency_penalty != 0 || p.presence_penalty != 0) {
    for_each_distinct(row, output_of(input), counts, [&](float& logit, int32_t count) {
      logit -= p.frequency_penalty * static_cast<float>(count) + p.presence_penalty;
    });
  }
}

void keep_allowed(std::span<float> row, std::span<const int32_t> allowed,
                  std::vector<int32_t>& marks) {
  for (const int32_t id : allowed) {
    if (in_row(row, id)) marks[static_cast<size_t>(id)] = 1;
  }
  for (size_t i = 0; i < row.size(); ++i) {
    if (marks[i] == 0) row[i] = kImpossible;
  }
  for (const int32_t id : allowed) {
    if (in_row(row, id)) marks[static_cast<size_t>(id)] = 0;
  }
}

void forbid(std::span<float> row, int32_t id) {
  if (in_row(row, id)) row[static_cast<size_t>(id)] = kImpossible;
}

bool ends_with(std::span<const int32_t> history, std::span<const int32_t> tail) {
  return history.size() >= tail.size() && std::ranges::equal(history.last(tail.size()), tail);
}

// `banned` is (length, ids...) again and again; validate_sampling() has refused malformed ones.
void forbid_banned(std::span<float> row, const SampleInput& input) {
  for (std::span<const int32_t> rest = input.banned; !rest.empty();) {
    const size_t length = static_cast<size_t>(std::max(rest[0], 0));
    if (length == 0 || length >= rest.size()) return;
    if (ends_with(input.history, rest.subspan(1, length - 1))) forbid(row, rest[length]);
    rest = rest.subspan(1 + length);
  }
}

}  // namespace

bool needs_adjustment(const SampleInput& input) {
  const SamplingParams& p = *input.params;
  return !input.bias_ids.empty() || p.repetition_penalty != 1.0f || p.frequency_penalty != 0 ||
         p.presence_penalty != 0 || !input.allowed_ids.empty() || !input.banned.empty() ||
         static_cast<int32_t>(output_of(input).size()) < p.min_tokens;
}

void adjust(std::span<float> row, const SampleInput& input, std::vector<int32_t>& counts) {
  add_bias(row, input);
  penalise(row, input, counts);
  if (!input.allowed_ids.empty()) keep_allowed(row, input.allowed_ids, counts);
  forbid_banned(row, input);
  if (static_cast<int32_t>(output_of(input).size()) < input.params->min_tokens) {
    for (const int32_t id : input.stop_ids) forbid(row, id);
  }
}

}  // namespace bessemer
