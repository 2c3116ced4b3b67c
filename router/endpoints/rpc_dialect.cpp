// Generate of bessemer.v1.Inference: a GenerateRequest in, GenerateResponses out. What is written
// between two flushes is one message, since protobufs of one type that stand behind each other are
// read as their sum.
#include "bessemer/v1/inference.pb.h"
#include "router/endpoints/dialect.h"
#include "router/endpoints/rpc_fields.h"
#include "router/endpoints/rpc_status.h"
#include "router/openai/json_text.h"
#include "router/openai/limits.h"
#include "router/text/unicode.h"

namespace bessemer {
namespace {

// Which endpoint's request it is, and its prompt under that endpoint's name.
std::variant<ApiKind, ApiError> choose_kind(json::object& fields) {
  const bool chat = fields.contains("messages"), text = fields.contains("prompt"),
             ids = fields.contains("prompt_ids");
  if (chat + text + ids != 1) {
    return bad_request("Exactly one of 'messages', 'prompt' and 'prompt_ids' must be given.",
                       "messages",
                       chat + text + ids == 0 ? "missing_required_parameter" : "invalid_value");
  }
  if (ids) {
    json::value list = std::move(fields["prompt_ids"]);
    fields.erase("prompt_ids");
    fields["prompt"] = std::move(list);
  }
  return chat ? ApiKind::chat : ApiKind::completion;
}

// The two endpoints of the REST API ask for logprobs in two ways.
std::optional<ApiError> rename_logprobs(json::object& fields, ApiKind kind) {
  const json::value* asked = fields.if_contains("logprobs");
  if (asked == nullptr) return std::nullopt;
  const int64_t count = asked->get_int64();
  if (count < 0 || count > kMaxLogprobs) {
    return bad_request("'logprobs' must be from 0 to " + std::to_string(kMaxLogprobs) + ", not " +
                           std::to_string(count) + ".",
                       "logprobs");
  }
  if (kind == ApiKind::completion) return std::nullopt;
  fields["top_logprobs"] = count;
  fields["logprobs"] = true;
  return std::nullopt;
}

ParseResult parse_generate(std::string_view body) {
  auto read = json_of_body<v1::GenerateRequest>(body);
  if (auto* error = std::get_if<ApiError>(&read)) return std::move(*error);
  json::object& fields = std::get<json::object>(read);
  const auto kind = choose_kind(fields);
  if (const auto* error = std::get_if<ApiError>(&kind)) return *error;
  const ApiKind chosen = std::get<ApiKind>(kind);
  if (auto error = rename_logprobs(fields, chosen)) return *std::move(error);
  fields["stream"] = true;
  if (!fields.contains("return_token_ids")) fields["return_token_ids"] = true;
  return parse_request(chosen, fields);
}

v1::FinishReason wire_reason(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return v1::FINISH_STOP;
    case FinishReason::length:
      return v1::FINISH_LENGTH;
    case FinishReason::content_filter:
      return v1::FINISH_CONTENT_FILTER;
  }
  return v1::FINISH_UNSPECIFIED;
}

void set_report(const TokenReport& report, v1::TokenLogprob& out) {
  out.set_id(report.chosen.id);
  out.set_text(report.chosen.bytes);
  if (report.logprob) out.set_logprob(*report.logprob);
  for (const TokenText& token : report.top) {
    v1::TopToken& top = *out.add_top();
    top.set_id(token.id);
    top.set_text(token.bytes);
    top.set_logprob(token.logprob);
  }
}

class RpcAnswer final : public Answer {
 public:
  explicit RpcAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin() override {
    v1::GenerateResponse message;
    v1::GenerateHead& head = *message.mutable_head();
    head.set_id(head_.id);
    head.set_created(head_.created);
    head.set_model(head_.model);
    head.set_system_fingerprint(head_.system_fingerprint);
    for (const auto& ids : head_.prompt_ids) head.mutable_prompt_ids()->Add(ids.begin(), ids.end());
    return message.SerializeAsString();
  }
  std::string text(const ChoiceText& delta) override {
    v1::GenerateResponse message;
    v1::ChoiceDelta& choice = *message.add_choices();
    choice.set_index(delta.choice);
    // An echoed prompt of ids may have half a character in it; JSON is mended where it is written.
    choice.set_text(is_valid_utf8(delta.text) ? delta.text : replace_invalid_utf8(delta.text));
    choice.mutable_ids()->Add(delta.ids.begin(), delta.ids.end());
    for (const TokenReport& report : delta.tokens) set_report(report, *choice.add_logprobs());
    return message.SerializeAsString();
  }
  std::string finish(const ChoiceFinish& finish) override {
    v1::GenerateResponse message;
    v1::ChoiceDelta& choice = *message.add_choices();
    choice.set_index(finish.choice);
    choice.set_finish_reason(wire_reason(finish.reason));
    if (finish.stop_string) {
      choice.set_stop_string(*finish.stop_string);
    } else if (finish.stop_id) {
      choice.set_stop_id(*finish.stop_id);
    }
    return message.SerializeAsString();
  }
  void prompt_logprobs(int32_t, const std::vector<TokenReport>&) override {}  // never asked for
  std::string end(const UsageReport& total) override {
    v1::GenerateResponse message;
    v1::GenerateUsage& usage = *message.mutable_usage();
    usage.set_prompt_tokens(total.prompt_tokens);
    usage.set_completion_tokens(total.completion_tokens);
    usage.set_cached_tokens(total.cached_tokens);
    return message.SerializeAsString();
  }

 private:
  const AnswerHead head_;
};

class RpcDialect final : public Dialect {
 public:
  std::string_view id_prefix() const override { return "gen"; }
  PrepareResult prepare(std::string_view body, const ClusterView& view) const override {
    return bessemer::prepare(parse_generate(body), view);
  }
  StreamHead stream_head() const override { return {}; }
  std::unique_ptr<Answer> answer(const ValidRequest&, AnswerHead head) const override {
    return std::make_unique<RpcAnswer>(std::move(head));
  }
  StreamFailure stream_failure(const ApiError& error) const override {
    return {"", rpc_error_response(error).headers};
  }
};

}  // namespace

const Dialect& rpc_dialect() {
  static const RpcDialect dialect;
  return dialect;
}

}  // namespace bessemer
