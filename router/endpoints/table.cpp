#include "router/endpoints/table.h"

#include <algorithm>
#include <array>

#include "router/endpoints/cors.h"
#include "router/endpoints/record.h"
#include "router/endpoints/rpc_status.h"

namespace bessemer {
namespace {

constexpr std::array kTable{
    EndpointRow{"POST", "/v1/chat/completions", handle_chat_completions},
    EndpointRow{"POST", "/v1/completions", handle_completions},
    EndpointRow{"GET", "/v1/models", handle_models},
    EndpointRow{"GET", "/v1/models/*", handle_model},
    EndpointRow{"POST", "/tokenize", handle_tokenize},
    EndpointRow{"POST", "/detokenize", handle_detokenize},
    EndpointRow{"GET", "/health", handle_health},
    EndpointRow{"GET", "/livez", handle_livez},
    EndpointRow{"GET", "/readyz", handle_readyz},
    EndpointRow{"GET", "/metrics", handle_metrics},
    EndpointRow{"GET", "/version", handle_version},
    EndpointRow{"GET", "/bessemer/state", handle_state},
    EndpointRow{"GET", "/", handle_page},
    EndpointRow{"POST", "/bessemer.v1.Inference/Generate", handle_rpc_generate, Front::grpc},
    EndpointRow{"POST", "/bessemer.v1.Inference/Tokenize", handle_rpc_tokenize, Front::grpc},
    EndpointRow{"POST", "/bessemer.v1.Inference/Detokenize", handle_rpc_detokenize, Front::grpc},
    EndpointRow{"POST", "/bessemer.v1.Inference/ListModels", handle_rpc_list_models, Front::grpc},
};
static_assert(kTable.size() < kMaxEndpoints);

bool matches(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

// "GET, HEAD, OPTIONS" for a path; empty: there is no such path.
std::string allowed_methods(std::string_view path) {
  std::string allowed;
  for (const auto& row : kTable) {
    if (row.front != Front::http || !matches(row.path, path)) continue;
    allowed += std::string(row.method) + ", ";
    if (row.method == "GET") allowed += "HEAD, ";
  }
  return allowed.empty() ? allowed : allowed + "OPTIONS";
}

void answer_without_row(const EndpointCall& call) {
  const HttpRequest& request = call.exchange->request();
  const std::string allowed = allowed_methods(request.path);
  if (allowed.empty()) return respond(call, url_not_found(request.method, request.path));
  HttpResponse response;
  if (request.method == "OPTIONS") {
    response.status = 204;
    add_preflight_headers(call, allowed);
  } else {
    response = error_response(method_not_supported(request.method, request.path));
  }
  response.headers.emplace_back("allow", allowed);
  respond(call, std::move(response));
}

}  // namespace

std::span<const EndpointRow> endpoint_table() {
  return kTable;
}
EndpointId no_endpoint() {
  return kTable.size();
}

void dispatch(RouterContext& router, Front front, ExchangePtr exchange) {
  const HttpRequest& request = exchange->request();
  const std::string_view method =
      request.method == "HEAD" ? std::string_view("GET") : request.method;
  const auto row = std::find_if(kTable.begin(), kTable.end(), [&](const EndpointRow& one) {
    return one.front == front && one.method == method && matches(one.path, request.path);
  });
  const auto id = static_cast<EndpointId>(row - kTable.begin());
  CoreContext& core = router.core_of(*exchange);
  auto record = begin_record(router, core, *exchange, front == Front::grpc ? "grpc" : "http",
                             row == kTable.end() ? "none" : row->path);
  EndpointCall call{router, core, id, std::move(exchange), std::move(record)};
  if (front == Front::grpc) call.render_error = rpc_error_response;
  add_cors_headers(call);
  if (row == kTable.end()) return answer_without_row(call);
  row->handle(std::move(call));
}

std::string_view path_rest(const EndpointCall& call) {
  return std::string_view(call.exchange->request().path)
      .substr(kTable[call.endpoint].path.size() - 1);
}

}  // namespace bessemer
