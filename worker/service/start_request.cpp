#include "worker/service/start_request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "proto/features.h"
#include "worker/sampling/validate.h"

namespace bessemer {

std::vector<uint32_t> offered_features() {
  std::vector<uint32_t> numbers;
  for (const Feature feature :
       {Feature::generate, Feature::parallel_choices, Feature::penalties, Feature::logit_bias,
        Feature::logprobs, Feature::prompt_logprobs, Feature::min_p, Feature::chunked_input,
        Feature::banned_sequences, Feature::typical_p, Feature::cache_root, Feature::resume,
        Feature::credit, Feature::attach, Feature::grant, Feature::handoff}) {
    numbers.push_back(static_cast<uint32_t>(feature));
  }
  return numbers;
}

namespace {

using Check = std::optional<Refusal>;

constexpr size_t kRequestIdBytes = 16;
// A root is kept for each first block of the prefix cache, so it is no place for documents: a keyed
// hash, or a salt as clients send it.
constexpr size_t kMaxCacheRootBytes = 512;
constexpr int32_t kMaxIds = std::numeric_limits<int32_t>::max();

Refusal unsupported(const std::string& field) {
  return {v1::REJECT_UNSUPPORTED, field + " is not supported by this worker"};
}
Refusal bad_input(std::string detail) {
  return {v1::REJECT_BAD_INPUT, std::move(detail)};
}

Check check_identity(const v1::Start& start, const WorkerFacts& facts) {
  if (start.request_id().size() != kRequestIdBytes) {
    return bad_input(
        fmt::format("request_id has {} bytes instead of 16", start.request_id().size()));
  }
  for (const uint32_t feature : start.required_features()) {
    if (std::find(facts.features.begin(), facts.features.end(), feature) == facts.features.end()) {
      return unsupported(fmt::format("feature {}", feature));
    }
  }
  if (!start.card_hash().empty() && start.card_hash() != facts.card.card_hash()) {
    return Refusal{v1::REJECT_WRONG_CARD, "this worker serves card " + facts.card.card_hash() +
                                              ", not " + start.card_hash()};
  }
  if (!start.adapter().empty() || !start.adapter_revision().empty()) {
    return Refusal{v1::REJECT_NO_ADAPTER,
                   "no adapter \"" + start.adapter() + "\": this worker serves none"};
  }
  return std::nullopt;
}

// Whole parts of Start that later features bring.
Check check_unbuilt(const v1::Start& start) {
  struct Unbuilt {
    bool present;
    const char* name;
  };
  const v1::Generate& g = start.generate();
  const v1::Input& input = start.input();
  const v1::Admission& admission = start.admission();
  for (const Unbuilt& field : {
           Unbuilt{start.has_embed(), "embed"},
           {start.has_score(), "score"},
           {start.has_transcribe(), "transcribe"},
           {start.has_speak(), "speak"},
           {start.has_kv(), "kv"},
           {start.detach_ms() != 0, "detach_ms"},
           {admission.weight() != 0, "admission.weight"},
           {admission.service_class() != 0, "admission.service_class"},
           {!input.parts().empty(), "input.parts"},
           {!input.sequence_lengths().empty(), "input.sequence_lengths"},
           {input.total_bytes() != 0, "input.total_bytes"},
           {g.has_grammar(), "generate.grammar"},
           {g.prefill_only(), "generate.prefill_only"},
           {g.has_reasoning_budget(), "generate.reasoning_budget"},
       }) {
    if (field.present) return unsupported(field.name);
  }
  if (!start.has_generate()) return bad_input("no task is given");
  return std::nullopt;
}

Check check_cache(const v1::Start& start) {
  const size_t bytes = start.cache().root().size();
  if (bytes <= kMaxCacheRootBytes) return std::nullopt;
  return bad_input(fmt::format("cache.root has {} bytes, more than {}", bytes, kMaxCacheRootBytes));
}

Check check_lengths(const v1::Start& start, const WorkerFacts& facts) {
  const auto here = int64_t{start.input().ids_size()}, total = prompt_tokens(start);
  if (total < 1) return bad_input("input.ids is empty: generation needs at least one token");
  if (here > total || (!start.chunked() && here < total)) {
    return bad_input(fmt::format("input.total_ids is {} but {} ids came{}", total, here,
                                 start.chunked() ? "" : " and chunked is not set"));
  }
  const int64_t output = std::max<int64_t>(start.generate().max_tokens(), 1);
  if (total + output > facts.max_len) {
    return Refusal{
        v1::REJECT_TOO_LARGE,
        fmt::format("{} prompt tokens and {} output tokens are more than the {} that one sequence "
                    "may have",
                    total, output, facts.max_len)};
  }
  return std::nullopt;
}

// What of it may still come in chunks is checked with the whole request.
Check check_resume(const v1::Start& start) {
  if (!start.has_resume()) return std::nullopt;
  const auto n = static_cast<int>(std::max<uint32_t>(start.generate().n(), 1));
  if (start.resume().choices_size() != n) {
    return bad_input(fmt::format("resume.choices has {} entries, not one for each of {} choices",
                                 start.resume().choices_size(), n));
  }
  if (!start.generate().has_prompt_logprobs()) return std::nullopt;
  return bad_input(
      "resume with prompt_logprobs: they come before the first token, so they have "
      "been delivered");
}

Check check_counts(const v1::Generate& g, const WorkerFacts& facts) {
  if (g.n() > static_cast<uint32_t>(facts.max_choices)) {
    return Refusal{v1::REJECT_TOO_LARGE,
                   fmt::format("n is {}; this worker runs at most {} sequences at once", g.n(),
                               facts.max_choices)};
  }
  if (g.max_tokens() != 0 && g.min_tokens() > g.max_tokens()) {
    return bad_input(
        fmt::format("min_tokens is {}, more than max_tokens = {}", g.min_tokens(), g.max_tokens()));
  }
  for (const auto& [name, value] :
       {std::pair("logprobs", g.has_logprobs() ? g.logprobs() : 0),
        std::pair("prompt_logprobs", g.has_prompt_logprobs() ? g.prompt_logprobs() : 0)}) {
    if (value > static_cast<uint32_t>(kMaxLogprobs)) {
      return bad_input(
          fmt::format("{} is {}; at most {} alternatives are given", name, value, kMaxLogprobs));
    }
  }
  // Before any of them is narrowed to the engine's int32.
  for (const auto& [name, value] :
       {std::pair("max_tokens", g.max_tokens()), std::pair("min_tokens", g.min_tokens()),
        std::pair("top_k", g.top_k())}) {
    if (value > static_cast<uint32_t>(kMaxIds))
      return bad_input(fmt::format("{} is {}, beyond 2^31", name, value));
  }
  return std::nullopt;
}

// Ids beyond int32 become -1, which no vocabulary has.
template <typename Ids>
Range append_ids(std::vector<int32_t>& tokens, const Ids& ids) {
  const Range range{static_cast<int32_t>(tokens.size()), static_cast<int32_t>(ids.size())};
  for (const uint32_t id : ids)
    tokens.push_back(id > static_cast<uint32_t>(kMaxIds) ? -1 : static_cast<int32_t>(id));
  return range;
}

Range append_banned(std::vector<int32_t>& tokens, const v1::Generate& g) {
  Range range{static_cast<int32_t>(tokens.size()), 0};
  for (const v1::TokenList& list : g.banned()) {
    tokens.push_back(list.ids_size());
    append_ids(tokens, list.ids());
  }
  range.count = static_cast<int32_t>(tokens.size()) - range.begin;
  return range;
}

void set_sampling(const v1::Generate& g, const WorkerFacts& facts, Request& request) {
  SamplingParams& p = request.sampling;
  p.seed = g.seed();
  if (g.has_temperature()) p.temperature = g.temperature();
  if (g.has_top_p()) p.top_p = g.top_p();
  if (g.has_top_k()) p.top_k = static_cast<int32_t>(g.top_k());
  if (g.has_min_p()) p.min_p = g.min_p();
  if (g.has_typical_p()) p.typical_p = g.typical_p();
  if (g.has_repetition_penalty()) p.repetition_penalty = g.repetition_penalty();
  p.frequency_penalty = g.frequency_penalty();
  p.presence_penalty = g.presence_penalty();
  p.min_tokens = static_cast<int32_t>(g.min_tokens());
  p.stop_ids = append_ids(request.tokens, g.stop_ids());
  if (!g.ignore_eos()) {
    p.stop_ids.count += append(request.tokens, facts.end_of_generation)
                            .count;  // right behind the ids of the request
  }
  p.bias_ids = append_ids(request.tokens, g.bias_ids());
  p.bias = append(request.floats, g.bias());
  p.allowed_ids = append_ids(request.tokens, g.allowed_ids());
  p.banned = append_banned(request.tokens, g);
}

Check check_ids(const std::string& field, std::span<const int32_t> ids, const WorkerFacts& facts) {
  const auto vocab = static_cast<int32_t>(facts.card.vocab_size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocab) continue;
    return bad_input(fmt::format("{}[{}] is outside the vocabulary of {}", field, i, vocab));
  }
  return std::nullopt;
}

// What each choice has delivered, within what it may have.
Check set_resumed(const v1::Resume& resume, const WorkerFacts& facts, Request& request) {
  for (int choice = 0; choice < resume.choices_size(); ++choice) {
    const v1::Delivered& delivered = resume.choices(choice);
    const std::string field = fmt::format("resume.choices[{}].ids", choice);
    if (delivered.ids_size() > request.max_tokens) {
      return bad_input(fmt::format("{} has {} tokens, more than the {} of the request", field,
                                   delivered.ids_size(), request.max_tokens));
    }
    Resumed& before = request.resumed.emplace_back();
    append_ids(before.ids, delivered.ids());
    before.ended = delivered.end() != v1::END_UNSPECIFIED;
    if (auto refusal = check_ids(field, before.ids, facts)) return refusal;
  }
  return std::nullopt;
}

// All of the request but its prompt and what it has delivered.
std::variant<Request, Refusal> parameters_of(const v1::Start& start, const WorkerFacts& facts) {
  const v1::Generate& g = start.generate();
  Request request;
  request.n = static_cast<int32_t>(std::max<uint32_t>(g.n(), 1));
  const int64_t room = facts.max_len - prompt_tokens(start);
  request.max_tokens =
      g.max_tokens() != 0 ? static_cast<int32_t>(g.max_tokens()) : static_cast<int32_t>(room);
  if (g.has_logprobs()) request.top_logprobs = static_cast<int32_t>(g.logprobs());
  if (g.has_prompt_logprobs()) request.prompt_logprobs = static_cast<int32_t>(g.prompt_logprobs());
  request.send_until = to_offset(start.send_until());
  request.priority = start.admission().priority();
  request.max_ttft_us = max_ttft_us(start);
  request.cache_root = start.cache().root();
  request.cache_store = !start.cache().no_store();
  set_sampling(g, facts, request);
  const Status valid = validate_sampling(request.sampling, request.tokens, request.floats,
                                         static_cast<int32_t>(facts.card.vocab_size()));
  if (!valid.ok()) return bad_input(std::string(valid.message()));
  return request;
}

}  // namespace

std::vector<int32_t> first_offsets(const v1::Start& start) {
  std::vector<int32_t> offsets(std::max<uint32_t>(start.generate().n(), 1));
  for (int i = 0; i < start.resume().choices_size(); ++i) {
    offsets[static_cast<size_t>(i)] = start.resume().choices(i).ids_size();
  }
  return offsets;
}

int32_t to_offset(uint32_t offset) {
  return static_cast<int32_t>(std::min(offset, static_cast<uint32_t>(kMaxIds)));
}

int64_t prompt_tokens(const v1::Start& start) {
  return start.input().total_ids() != 0 ? int64_t{start.input().total_ids()}
                                        : int64_t{start.input().ids_size()};
}

int64_t max_ttft_us(const v1::Start& start) {
  const v1::Admission& admission = start.admission();
  return admission.must_queue() ? 0 : int64_t{admission.max_est_ttft_us()};
}

std::optional<Refusal> check_start(const v1::Start& start, const WorkerFacts& facts) {
  if (auto refusal = check_identity(start, facts)) return refusal;
  if (auto refusal = check_unbuilt(start)) return refusal;
  if (auto refusal = check_cache(start)) return refusal;
  if (auto refusal = check_lengths(start, facts)) return refusal;
  if (auto refusal = check_resume(start)) return refusal;
  if (auto refusal = check_counts(start.generate(), facts)) return refusal;
  auto parameters = parameters_of(start, facts);
  if (auto* refusal = std::get_if<Refusal>(&parameters)) return std::move(*refusal);
  return std::nullopt;
}

std::variant<Request, Refusal> to_request(const v1::Start& start, const WorkerFacts& facts) {
  auto result = parameters_of(start, facts);
  auto* request = std::get_if<Request>(&result);
  if (request == nullptr) return result;
  append_ids(request->prompt, start.input().ids());
  if (auto refusal = check_ids("input.ids", request->prompt, facts)) return std::move(*refusal);
  if (auto refusal = set_resumed(start.resume(), facts, *request)) return std::move(*refusal);
  return result;
}

}  // namespace bessemer
