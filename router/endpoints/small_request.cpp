#include "router/endpoints/small_request.h"

#include <atomic>
#include <set>

#include <fmt/format.h>

#include "router/endpoints/prepare.h"

namespace bessemer {
namespace {

constexpr size_t kMaxModelNameBytes = 512;

std::variant<std::shared_ptr<const ModelView>, ApiError> choose_model(SmallRequest& request,
                                                                      const ClusterView& view) {
  const auto name = request.fields.string("model", kMaxModelNameBytes);
  if (request.problem) return *request.problem;
  if (name) return find_model(view, *name);
  std::set<std::string> cards;
  for (const auto& [known, model] : view.models) cards.insert(model->card->card_hash());
  if (cards.size() > 1) return missing_parameter("model");
  return find_model(view, view.models.empty() ? "" : view.models.begin()->first);
}

// A call on its way through the pool.
struct PooledCall {
  explicit PooledCall(EndpointCall given) : call(std::move(given)) {}
  EndpointCall call;
  std::atomic<bool> gone = false;  // its client; written on the core, read in the pool
};

struct SmallTask {
  BodyReader read;
  SmallHandler handle;
};

std::variant<std::string, ApiError> answer(std::string_view body, const ClusterView& view,
                                           const SmallTask& task) {
  auto fields = task.read(body);
  if (auto* error = std::get_if<ApiError>(&fields)) return std::move(*error);
  SmallRequest request(std::move(std::get<json::object>(fields)));
  auto model = choose_model(request, view);
  if (auto* error = std::get_if<ApiError>(&model)) return std::move(*error);
  return task.handle(request, *std::get<0>(model));
}

void send(const EndpointCall& call, std::variant<std::string, ApiError> result) {
  if (const auto* error = std::get_if<ApiError>(&result)) return respond(call, *error);
  respond_json(call, std::move(std::get<std::string>(result)));
}

}  // namespace

ApiError too_many_tokens(const char* param, size_t tokens) {
  return bad_request(
      fmt::format("'{}' has {} tokens, above the {} of one request; send it in parts.", param,
                  tokens, kMaxListedTokens),
      param);
}

ApiError answer_too_long(const char* param) {
  return bad_request(
      fmt::format("The answer to '{}' would be longer than {} bytes; send it in parts.", param,
                  kMaxSmallAnswerBytes),
      param);
}

std::variant<json::object, ApiError> read_json_body(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed.ok()) return malformed_body(std::string(parsed.status().message()));
  if (!parsed->is_object()) return malformed_body("The body must be a JSON object.");
  return std::move(parsed->as_object());
}

void run_small_request(EndpointCall call, BodyReader read, SmallHandler handler) {
  const SmallTask what{read, handler};
  HttpRequest& request = call.exchange->request();
  const ClusterViewPtr view = call.core.view;
  if (request.body.size() <= call.router.options.pool_body_bytes)
    return send(call, answer(request.body, *view, what));
  auto shared = std::make_shared<PooledCall>(std::move(call));
  shared->call.exchange->on_abort([weak = std::weak_ptr(shared)](Abort reason) {
    const auto pooled = weak.lock();
    if (pooled != nullptr && reason == Abort::disconnected) pooled->gone = true;
  });
  auto task = [shared, view, what, body = std::move(request.body),
               lease = std::move(request.body_lease)]() mutable {
    std::variant<std::string, ApiError> result;
    if (!shared->gone) result = answer(body, *view, what);
    Core* core = shared->call.core.core;
    core->post([shared = std::move(shared), result = std::move(result)]() mutable {
      if (shared->gone) return finish_request(shared->call, 499, {});
      send(shared->call, std::move(result));
    });
  };
  if (!shared->call.router.pool->submit(std::move(task))) {
    respond(shared->call, overloaded("Too many long texts are being read at once.", 1000));
  }
}

}  // namespace bessemer
