// The methods of bessemer.v1.Inference.
#include "bessemer/v1/inference.pb.h"
#include "router/endpoints/generation.h"
#include "router/endpoints/rpc_fields.h"
#include "router/endpoints/table.h"
#include "router/endpoints/tokenized.h"
#include "router/text/detokenizer.h"

namespace bessemer {
namespace {

using BytesOrError = std::variant<std::string, ApiError>;

void respond_message(const EndpointCall& call, const google::protobuf::Message& message) {
  HttpResponse response;
  response.content_type = "application/grpc";
  response.body = message.SerializeAsString();
  respond(call, std::move(response));
}

BytesOrError tokenize(SmallRequest& request, const ModelView& model) {
  auto result = tokenized(request, model);
  if (auto* error = std::get_if<ApiError>(&result)) return std::move(*error);
  const auto& prompt = std::get<TokenizedPrompt>(result);
  if (prompt.ids.size() > kMaxListedTokens) return too_many_tokens(prompt.param, prompt.ids.size());
  v1::TokenizeResponse response;
  response.set_max_model_len(model.card->max_model_len());
  response.mutable_tokens()->Add(prompt.ids.begin(), prompt.ids.end());
  size_t bytes = 0;
  for (const int32_t id : prompt.ids) {
    if (!prompt.with_strings) break;
    std::string piece = model.text->tokenizer->piece(id, true);
    bytes += piece.size();
    if (bytes > kMaxSmallAnswerBytes) return answer_too_long(prompt.param);
    response.add_token_strs(std::move(piece));
  }
  return response.SerializeAsString();
}

BytesOrError detokenize(SmallRequest& request, const ModelView& model) {
  const auto read = listed_tokens(request, model);
  if (const auto* error = std::get_if<ApiError>(&read)) return *error;
  Detokenizer detokenizer(*model.text->tokenizer, false, true);
  std::string text;
  for (const int32_t id : std::get<0>(read)) {
    text += detokenizer.push(id);
    if (text.size() > kMaxSmallAnswerBytes) return answer_too_long("tokens");
  }
  text += detokenizer.flush();
  v1::DetokenizeResponse response;
  response.set_text(std::move(text));
  return response.SerializeAsString();
}

void describe(const std::string& name, const ModelView& model, v1::ModelInfo& out) {
  const v1::ModelCard& card = *model.card;
  out.set_id(name);
  out.set_root(card.name());
  out.set_created(card.created());
  out.set_max_model_len(card.max_model_len());
  out.set_architecture(card.architecture());
  out.set_quantization(card.quantization());
  out.set_parameters(card.parameters());
  out.set_workers(static_cast<uint32_t>(model.workers.size()));
}

}  // namespace

void handle_rpc_generate(EndpointCall call) {
  Generation::run(rpc_dialect(), std::move(call));
}

void handle_rpc_tokenize(EndpointCall call) {
  run_small_request(std::move(call), json_of_body<v1::TokenizeRequest>, tokenize);
}

void handle_rpc_detokenize(EndpointCall call) {
  run_small_request(std::move(call), json_of_body<v1::DetokenizeRequest>, detokenize);
}

void handle_rpc_list_models(EndpointCall call) {
  const std::string& body = call.exchange->request().body;
  auto fields = json_of_body<v1::ListModelsRequest>(body);
  if (const auto* error = std::get_if<ApiError>(&fields)) return respond(call, *error);
  v1::ListModelsResponse response;
  for (const auto& [name, model] : call.core.view->models) {
    if (!model->workers.empty()) describe(name, *model, *response.add_models());
  }
  respond_message(call, response);
}

}  // namespace bessemer
