#include "router/endpoints/prepare.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/clock.h"
#include "common/sha256.h"
#include "router/cluster/prefix_chain.h"
#include "router/openai/limits.h"

namespace bessemer {
namespace {

constexpr size_t kMaxOwnSaltBytes = 256;

constexpr int kRetryNoModelMs = 1000;

using MaybeError = std::optional<ApiError>;

const char* prompt_param(ApiKind kind) {
  return kind == ApiKind::chat ? "messages" : "prompt";
}

MaybeError check_ids(const std::vector<int32_t>& ids, int32_t vocab_size, const char* param) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      return bad_request(
          fmt::format("Token id {} is not in the model's vocabulary of {} tokens.", id, vocab_size),
          param);
    }
  }
  return std::nullopt;
}

MaybeError check_sampling_ids(const SamplingSpec& sampling, int32_t vocab_size) {
  std::vector<int32_t> biased;
  for (const auto& [id, bias] : sampling.logit_bias) biased.push_back(id);
  if (auto error = check_ids(biased, vocab_size, "logit_bias")) return error;
  if (auto error = check_ids(sampling.allowed_token_ids, vocab_size, "allowed_token_ids"))
    return error;
  return check_ids(sampling.stop_token_ids, vocab_size, "stop_token_ids");
}

// A bad word may stand at the beginning of a word or inside a text: with and without a space in
// front of it.
std::vector<std::vector<int32_t>> banned_sequences(const std::vector<std::string>& words,
                                                   const Tokenizer& tokenizer) {
  std::vector<std::vector<int32_t>> banned;
  for (const auto& word : words) {
    for (const std::string& spelling : {word, " " + word}) {
      auto ids = tokenizer.encode(spelling, {.add_special = false, .parse_special = false});
      if (!ids.empty() && std::find(banned.begin(), banned.end(), ids) == banned.end())
        banned.push_back(std::move(ids));
    }
  }
  return banned;
}

MaybeError check_banned(const std::vector<std::vector<int32_t>>& banned) {
  size_t ids = 0;
  for (const auto& sequence : banned) ids += sequence.size();
  if (ids <= kMaxBannedIds) return std::nullopt;
  return bad_request(
      fmt::format("'bad_words' take {} tokens, with and without a space in front of each; at most "
                  "{} are taken. Send fewer or shorter ones.",
                  ids, kMaxBannedIds),
      "bad_words");
}

// Keeps the last tokens, as truncate_prompt_tokens asks; true where some were dropped.
bool truncate(const ValidRequest& request, int32_t max_model_len, std::vector<int32_t>& ids) {
  if (!request.truncate_prompt_tokens) return false;
  int64_t keep = *request.truncate_prompt_tokens;
  if (keep < 0)
    keep =
        std::max<int64_t>(int64_t{max_model_len} - std::max(request.max_tokens.value_or(1), 1), 1);
  if (static_cast<int64_t>(ids.size()) <= keep) return false;
  ids.erase(ids.begin(), ids.end() - keep);
  return true;
}

// Fills in max_tokens, or says that it does not fit.
MaybeError fit(const ValidRequest& request, int32_t max_model_len, PreparedPrompt& prompt) {
  const char* param = prompt_param(request.kind);
  const auto length = static_cast<int64_t>(prompt.ids.size());
  if (length == 0) return bad_request("The prompt has no tokens; at least one is needed.", param);
  const int64_t room = max_model_len - length;
  if (room < 1) return context_length_exceeded(length, 0, max_model_len, param);
  if (request.max_tokens && *request.max_tokens > room) {
    return context_length_exceeded(length, *request.max_tokens, max_model_len, param);
  }
  prompt.max_tokens = request.max_tokens.value_or(static_cast<int32_t>(room));
  if (request.sampling.min_tokens > prompt.max_tokens) {
    return bad_request(fmt::format("min_tokens is {}, but at most {} tokens can be generated.",
                                   request.sampling.min_tokens, prompt.max_tokens),
                       "min_tokens");
  }
  return std::nullopt;
}

// Before it is tokenised, which for megabytes takes seconds: a text that is too long even if it were
// all of the longest token. Where only its end is wanted, it must be read to be cut.
MaybeError check_bytes(const PreparedRequest& prepared, std::string_view text) {
  if (prepared.request.truncate_prompt_tokens) return std::nullopt;
  const uint32_t max_model_len = prepared.model->card->max_model_len();
  const size_t least = prepared.model->text->tokenizer->least_tokens(text);
  if (least < max_model_len) return std::nullopt;
  return bad_request(fmt::format("This model's context is {} tokens, but the prompt has {} bytes, "
                                 "which are at least {} tokens. Shorten the prompt.",
                                 max_model_len, text.size(), least),
                     prompt_param(prepared.request.kind), "context_length_exceeded");
}

MaybeError add_chat_prompt(PreparedRequest& prepared) {
  const ModelText& text = *prepared.model->text;
  auto rendered = render_chat(prepared.request, text);
  if (auto* error = std::get_if<ApiError>(&rendered)) return std::move(*error);
  // The template spells out every special token, the first one too.
  PreparedPrompt prompt;
  if (auto error = check_bytes(prepared, std::get<std::string>(rendered))) return error;
  prompt.ids = text.tokenizer->encode(std::get<std::string>(rendered),
                                      {.add_special = false, .parse_special = true});
  prepared.prompts.push_back(std::move(prompt));
  return std::nullopt;
}

MaybeError add_completion_prompts(PreparedRequest& prepared) {
  const Tokenizer& tokenizer = *prepared.model->text->tokenizer;
  for (auto& given : prepared.request.prompts) {
    PreparedPrompt prompt;
    if (auto* text = std::get_if<std::string>(&given)) {
      if (auto error = check_bytes(prepared, *text)) return error;
      prompt.ids = tokenizer.encode(*text, {});
      if (prepared.request.echo) prompt.text = std::move(*text);
    } else {
      prompt.ids = std::move(std::get<std::vector<int32_t>>(given));
      if (auto error = check_ids(prompt.ids, tokenizer.vocab_size(), "prompt")) return error;
      if (prepared.request.echo) prompt.text = tokenizer.decode(prompt.ids, false);
    }
    prepared.prompts.push_back(std::move(prompt));
  }
  return std::nullopt;
}

// What an answer repeats of its prompts costs the client next to nothing and the router a copy for
// each choice: bounded before any work is done.
MaybeError check_echo(const PreparedRequest& prepared) {
  const ValidRequest& request = prepared.request;
  const bool scored = request.echo && request.top_logprobs >= 0;
  const int64_t per_token = (scored ? int64_t{request.n} * (request.top_logprobs + 1) : 0) +
                            (request.prompt_logprobs + 1);
  int64_t tokens = 0, bytes = 0;
  for (const auto& prompt : prepared.prompts) {
    tokens += static_cast<int64_t>(prompt.ids.size());
    bytes += static_cast<int64_t>(prompt.text.size()) * request.n;
  }
  if (bytes > kMaxEchoBytes) {
    return bad_request(
        fmt::format("'echo' would repeat {} bytes of the prompts, above the limit of "
                    "{}; ask for fewer choices or prompts at once.",
                    bytes, kMaxEchoBytes),
        "echo");
  }
  if (tokens * per_token <= kMaxPromptLogprobs) return std::nullopt;
  const char* param = scored ? "logprobs" : "prompt_logprobs";
  return bad_request(
      fmt::format("'{}' asks for {} log-probabilities of the prompts' tokens, above the limit of "
                  "{}; ask for fewer alternatives, choices or prompts at once.",
                  param, tokens * per_token, kMaxPromptLogprobs),
      param);
}

// Tenants share no prefixes, whatever salts they choose: a name has no '/'.
std::string own_salt(const Tenant& tenant, std::string salt) {
  if (tenant.name.empty()) return salt;
  // Within what a worker takes for a root.
  if (salt.size() > kMaxOwnSaltBytes) salt = "/" + sha256_of(salt);
  return tenant.name + "/" + salt;
}

MaybeError fill(PreparedRequest& prepared) {
  ValidRequest& request = prepared.request;
  const Tokenizer& tokenizer = *prepared.model->text->tokenizer;
  const auto max_model_len = static_cast<int32_t>(prepared.model->card->max_model_len());
  auto error =
      request.kind == ApiKind::chat ? add_chat_prompt(prepared) : add_completion_prompts(prepared);
  if (error) return error;
  if ((error = check_sampling_ids(request.sampling, tokenizer.vocab_size()))) return error;
  for (auto& prompt : prepared.prompts) {
    const bool cut = truncate(request, max_model_len, prompt.ids);
    if (cut && request.echo) prompt.text = tokenizer.decode(prompt.ids, false);
    if ((error = fit(request, max_model_len, prompt))) return error;
    const v1::ModelCard& card = *prepared.model->card;
    prompt.chain = std::make_shared<const std::vector<uint64_t>>(
        prefix_chain(card.hash_domain(), request.cache_salt, prompt.ids,
                     static_cast<int32_t>(card.block_tokens())));
  }
  if ((error = check_echo(prepared))) return error;
  prepared.banned = banned_sequences(request.sampling.bad_words, tokenizer);
  if ((error = check_banned(prepared.banned))) return error;
  request.messages = json::array();
  request.prompts.clear();
  return std::nullopt;
}

}  // namespace

std::variant<std::shared_ptr<const ModelView>, ApiError> find_model(const ClusterView& view,
                                                                    const std::string& name) {
  const auto found = view.models.find(name);
  if (found != view.models.end()) return found->second;
  if (view.models.empty())
    return unavailable("No worker has joined yet; the models are not known.", kRetryNoModelMs);
  return model_not_found(name);
}

std::variant<std::string, ApiError> render_chat(const ValidRequest& request,
                                                const ModelText& text) {
  if (text.chat_template == nullptr) return bad_request(text.no_template, "messages");
  ChatTemplateInput input;
  input.messages = request.messages;
  input.add_generation_prompt = request.add_generation_prompt;
  input.continue_final_message = request.continue_final_message;
  input.extra = request.chat_template_kwargs;
  input.bos_token = text.bos_token;
  input.eos_token = text.eos_token;
  input.now_s = local_calendar_seconds();
  auto rendered = text.chat_template->render(input);
  if (rendered.ok()) return *std::move(rendered);
  return bad_request(
      "The chat template refused the messages: " + std::string(rendered.status().message()),
      "messages");
}

PrepareResult prepare(ApiKind kind, std::string_view body, const ClusterView& view,
                      const Tenant& tenant) {
  return prepare(kind == ApiKind::chat ? parse_chat_completion(body) : parse_completion(body), view,
                 tenant);
}

PrepareResult prepare(ParseResult parsed, const ClusterView& view, const Tenant& tenant) {
  if (auto* refused = std::get_if<RefusedRequest>(&parsed)) return std::move(*refused);
  PreparedRequest prepared;
  prepared.request = std::move(std::get<ValidRequest>(parsed));
  prepared.request.cache_salt = own_salt(tenant, std::move(prepared.request.cache_salt));
  auto model = find_model(view, prepared.request.model);
  if (auto* error = std::get_if<ApiError>(&model))
    return RefusedRequest(std::move(*error), prepared.request);
  prepared.model = std::move(std::get<0>(model));
  if (auto error = fill(prepared)) return RefusedRequest(*std::move(error), prepared.request);
  return prepared;
}

}  // namespace bessemer
