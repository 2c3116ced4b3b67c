#include <charconv>
#include <limits>

#include "router/openai/limits.h"
#include "router/openai/parse_parts.h"

namespace bessemer {
namespace {

// Outside of these the logits overflow or vanish in fp32; vLLM only asks for more than 0.
constexpr double kMinRepetitionPenalty = 0.01, kMaxRepetitionPenalty = 100;

// A canonical decimal id, or nullopt.
std::optional<int32_t> parse_id(std::string_view text) {
  int32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0) return std::nullopt;
  if (text.size() > 1 && text.front() == '0')
    return std::nullopt;  // "07" and "7" would be the same id twice
  return id;
}

void read_logit_bias(FieldReader& fields, SamplingSpec& sampling) {
  const json::object* bias = fields.object("logit_bias");
  if (bias == nullptr) return;
  if (bias->size() > kMaxLogitBias) {
    return fields.fail("logit_bias",
                       "must have at most " + std::to_string(kMaxLogitBias) + " entries.");
  }
  for (const json::key_value_pair& pair : *bias) {
    const std::optional<int32_t> id = parse_id(pair.key());
    if (!id)
      return fields.fail("logit_bias",
                         "must have token ids as its keys, written as decimal strings.");
    const std::string param = fields.path_of("logit_bias") + "." + std::string(pair.key());
    const auto value = fields.as_number(pair.value(), param, -100, 100);
    if (value) sampling.logit_bias.emplace(*id, static_cast<float>(*value));
  }
}

void read_stops(FieldReader& fields, ValidRequest& request) {
  const json::value* stop = fields.find("stop");
  if (stop == nullptr) return;
  if (!stop->is_string() && !stop->is_array())
    return fields.fail("stop", "must be a string or an array of strings.");
  if (stop->is_array()) {
    request.stop = fields.strings("stop", kMaxStops, kMaxStopBytes);
    return;
  }
  if (auto text = fields.string("stop", kMaxStopBytes)) request.stop.push_back(*std::move(text));
  if (!fields.failed() && request.stop.front().empty())
    fields.fail("stop", "must not be an empty string.");
}

void read_truncation(FieldReader& fields, SamplingSpec& sampling) {
  sampling.temperature = fields.number("temperature", 0, 2);
  sampling.top_p = fields.number("top_p", 0, 1);
  // OpenAI takes 0, which leaves only the most likely token; the sampler wants a share above 0, and
  // the smallest one says that.
  if (sampling.top_p == 0.0)
    sampling.top_p = static_cast<double>(std::numeric_limits<float>::min());
  sampling.min_p = fields.number("min_p", 0, 1);
  sampling.typical_p = fields.number("typical_p", 0, 1);
  if (sampling.typical_p == 0.0) fields.fail("typical_p", "must be above 0.");
  sampling.top_k = fields.integer("top_k", -1, std::numeric_limits<int32_t>::max());
  if (sampling.top_k == -1) sampling.top_k = 0;  // vLLM's two ways of saying "all"
}

void read_penalties(FieldReader& fields, SamplingSpec& sampling) {
  sampling.frequency_penalty = fields.number("frequency_penalty", -2, 2).value_or(0);
  sampling.presence_penalty = fields.number("presence_penalty", -2, 2).value_or(0);
  sampling.repetition_penalty =
      fields.number("repetition_penalty", kMinRepetitionPenalty, kMaxRepetitionPenalty).value_or(1);
}

}  // namespace

void read_sampling(FieldReader& fields, ValidRequest& request) {
  SamplingSpec& sampling = request.sampling;
  read_truncation(fields, sampling);
  read_penalties(fields, sampling);
  read_logit_bias(fields, sampling);
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min(),
                    kHighest = std::numeric_limits<int64_t>::max();
  if (const auto seed = fields.integer("seed", kLowest, kHighest))
    sampling.seed = static_cast<uint64_t>(*seed);

  sampling.allowed_token_ids = fields.ids("allowed_token_ids", kMaxAllowedIds);
  if (fields.has("allowed_token_ids") && sampling.allowed_token_ids.empty()) {
    fields.fail("allowed_token_ids", "must not be empty: nothing could be generated.");
  }
  sampling.bad_words = fields.strings("bad_words", kMaxBadWords, kMaxStopBytes);
  sampling.stop_token_ids = fields.ids("stop_token_ids", kMaxStopTokenIds);
  constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();
  sampling.min_tokens =
      static_cast<int32_t>(fields.integer("min_tokens", 0, kMaxTokens).value_or(0));
  sampling.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read_stops(fields, request);
  request.include_stop_str_in_output = fields.boolean("include_stop_str_in_output").value_or(false);
  request.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
}

}  // namespace bessemer
