// Every endpoint, in one list.
#pragma once
#include <span>
#include <string_view>

#include "router/endpoints/context.h"

namespace bessemer {

// Where requests come in. A gRPC call is a POST to /package.Service/Method with one message as its
// body, so that both fronts share this table.
enum class Front : uint8_t { http, grpc };

struct EndpointRow {
  std::string_view method;
  std::string_view
      path;  // "/v1/models/*": whatever follows, slashes too, and at least one character
  void (*handle)(EndpointCall call);
  Front front = Front::http;
};
std::span<const EndpointRow> endpoint_table();

// What requests are counted under that reach no row.
EndpointId no_endpoint();

// Finds the row and calls it; answers OPTIONS, HEAD of a GET, 404 and 405 (with Allow) itself.
void dispatch(RouterContext& router, Front front, ExchangePtr exchange);

// What matched the '*' of a row's path.
std::string_view path_rest(const EndpointCall& call);

// One per endpoint, each in the file of its name.
void handle_chat_completions(EndpointCall call);
void handle_completions(EndpointCall call);
void handle_models(EndpointCall call);
void handle_model(EndpointCall call);
void handle_tokenize(EndpointCall call);
void handle_detokenize(EndpointCall call);
void handle_health(EndpointCall call);
void handle_livez(EndpointCall call);
void handle_readyz(EndpointCall call);
void handle_metrics(EndpointCall call);
void handle_version(EndpointCall call);
void handle_page(EndpointCall call);
void handle_state(EndpointCall call);
void handle_rpc_generate(EndpointCall call);
void handle_rpc_tokenize(EndpointCall call);
void handle_rpc_detokenize(EndpointCall call);
void handle_rpc_list_models(EndpointCall call);

}  // namespace bessemer
