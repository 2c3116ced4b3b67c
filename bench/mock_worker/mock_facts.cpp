#include "bench/mock_worker/mock_facts.h"

#include <algorithm>
#include <utility>

#include "proto/features.h"

namespace bessemer {
namespace {

template <typename Numbers>
bool contains(const Numbers& numbers, uint32_t number) {
  return std::ranges::find(numbers, number) != numbers.end();
}

bool has_penalties(const v1::Generate& generate) {
  return generate.frequency_penalty() != 0 || generate.presence_penalty() != 0 ||
         (generate.has_repetition_penalty() && generate.repetition_penalty() != 1);
}

}  // namespace

std::vector<uint32_t> features_used_by(const v1::Start& start) {
  const v1::Generate& generate = start.generate();
  const std::pair<bool, Feature> plain[] = {
      {start.has_generate(), Feature::generate},
      {generate.n() > 1, Feature::parallel_choices},
      {has_penalties(generate), Feature::penalties},
      {generate.bias_ids_size() + generate.allowed_ids_size() > 0, Feature::logit_bias},
      {generate.has_logprobs(), Feature::logprobs},
      {generate.has_prompt_logprobs(), Feature::prompt_logprobs},
      {generate.has_min_p(), Feature::min_p},
      {start.chunked(), Feature::chunked_input},
      {generate.banned_size() > 0, Feature::banned_sequences},
      {generate.has_typical_p(), Feature::typical_p},
      {!start.cache().root().empty() || start.cache().no_store(), Feature::cache_root},
  };
  std::vector<uint32_t> used;
  for (const auto& [is_used, feature] : plain) {
    if (is_used) used.push_back(static_cast<uint32_t>(feature));
  }
  if (start.has_resume()) used.push_back(static_cast<uint32_t>(Feature::resume));
  if (start.send_until() != 0) used.push_back(static_cast<uint32_t>(Feature::credit));
  return used;
}

uint32_t used_but_not_required(const v1::Start& start) {
  for (const uint32_t feature : features_used_by(start)) {
    if (!contains(start.required_features(), feature)) return feature;
  }
  return 0;
}

bool MockFacts::offers(uint32_t feature) const {
  return contains(hello.features(), feature);
}

uint32_t MockFacts::missing_for(const v1::Start& start) const {
  for (const uint32_t feature : start.required_features()) {
    if (!offers(feature)) return feature;
  }
  for (const uint32_t feature : features_used_by(start)) {
    if (!offers(feature)) return feature;
  }
  return 0;
}

}  // namespace bessemer
