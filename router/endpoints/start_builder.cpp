#include "router/endpoints/start_builder.h"

#include <algorithm>

#include "common/random.h"
#include "proto/features.h"

namespace bessemer {
namespace {

void require(v1::Start& start, Feature feature) {
  start.add_required_features(static_cast<uint32_t>(feature));
}

void set_distribution(const SamplingSpec& sampling, v1::Start& start) {
  v1::Generate& generate = *start.mutable_generate();
  if (sampling.temperature) generate.set_temperature(static_cast<float>(*sampling.temperature));
  if (sampling.top_p) generate.set_top_p(static_cast<float>(*sampling.top_p));
  if (sampling.top_k && *sampling.top_k > 0) {
    generate.set_top_k(static_cast<uint32_t>(std::min<int64_t>(*sampling.top_k, INT32_MAX)));
  }
  if (sampling.min_p) {
    generate.set_min_p(static_cast<float>(*sampling.min_p));
    require(start, Feature::min_p);
  }
  if (sampling.typical_p) {
    generate.set_typical_p(static_cast<float>(*sampling.typical_p));
    require(start, Feature::typical_p);
  }
  generate.set_frequency_penalty(static_cast<float>(sampling.frequency_penalty));
  generate.set_presence_penalty(static_cast<float>(sampling.presence_penalty));
  generate.set_repetition_penalty(static_cast<float>(sampling.repetition_penalty));
  const bool penalised = sampling.frequency_penalty != 0 || sampling.presence_penalty != 0 ||
                         sampling.repetition_penalty != 1;
  if (penalised) require(start, Feature::penalties);
}

void set_token_rules(const PreparedRequest& prepared, v1::Start& start) {
  const SamplingSpec& sampling = prepared.request.sampling;
  v1::Generate& generate = *start.mutable_generate();
  for (const auto& [id, bias] : sampling.logit_bias) {
    generate.add_bias_ids(static_cast<uint32_t>(id));
    generate.add_bias(bias);
  }
  for (const int32_t id : sampling.allowed_token_ids)
    generate.add_allowed_ids(static_cast<uint32_t>(id));
  if (!sampling.logit_bias.empty() || !sampling.allowed_token_ids.empty())
    require(start, Feature::logit_bias);
  for (const auto& sequence : prepared.banned) {
    auto* list = generate.add_banned();
    for (const int32_t id : sequence) list->add_ids(static_cast<uint32_t>(id));
  }
  if (!prepared.banned.empty()) require(start, Feature::banned_sequences);
  for (const int32_t id : sampling.stop_token_ids) generate.add_stop_ids(static_cast<uint32_t>(id));
  generate.set_ignore_eos(sampling.ignore_eos);
  generate.set_min_tokens(static_cast<uint32_t>(sampling.min_tokens));
}

void set_logprobs(const ValidRequest& request, v1::Start& start) {
  v1::Generate& generate = *start.mutable_generate();
  if (request.top_logprobs >= 0) {
    generate.set_logprobs(static_cast<uint32_t>(request.top_logprobs));
    require(start, Feature::logprobs);
  }
  const int32_t echoed = request.echo ? request.top_logprobs : -1;
  const int32_t of_prompt = std::max(echoed, request.prompt_logprobs);
  if (of_prompt >= 0) {
    generate.set_prompt_logprobs(static_cast<uint32_t>(of_prompt));
    require(start, Feature::prompt_logprobs);
  }
}

// Prompts of one list draw noise of their own: else equal ones had equal samples. The first has the
// request's seed itself, so that it draws what it would alone.
uint64_t seed_of(uint64_t seed, size_t prompt) {
  return prompt == 0 ? seed : Random(Random(seed).next() + prompt).next();
}

}  // namespace

v1::Start build_start(const PreparedRequest& prepared, size_t prompt, uint64_t seed,
                      const std::string& request_id) {
  const ValidRequest& request = prepared.request;
  const PreparedPrompt& input = prepared.prompts[prompt];
  v1::Start start;
  start.set_request_id(request_id);
  start.set_card_hash(prepared.model->card->card_hash());
  require(start, Feature::generate);
  start.mutable_input()->mutable_ids()->Add(input.ids.begin(), input.ids.end());
  start.mutable_admission()->set_priority(request.priority);
  if (!request.cache_salt.empty()) {
    start.mutable_cache()->set_root(request.cache_salt);
    require(start, Feature::cache_root);
  }
  v1::Generate& generate = *start.mutable_generate();
  generate.set_seed(seed_of(seed, prompt));
  generate.set_n(static_cast<uint32_t>(request.n));
  if (request.n > 1) require(start, Feature::parallel_choices);
  // Echo alone still takes a pass over the prompt, which ends in one token; it is not delivered.
  generate.set_max_tokens(static_cast<uint32_t>(std::max(input.max_tokens, 1)));
  set_distribution(request.sampling, start);
  set_token_rules(prepared, start);
  set_logprobs(request, start);
  return start;
}

uint64_t required_feature_bits(const v1::Start& start) {
  uint64_t bits = 0;
  for (const uint32_t feature : start.required_features()) bits |= uint64_t{1} << feature;
  return bits;
}

}  // namespace bessemer
