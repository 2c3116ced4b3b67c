// Every endpoint, in one list.
#pragma once
#include <span>
#include <string_view>

#include "router/endpoints/context.h"

namespace bessemer {

struct EndpointRow {
  std::string_view method;
  std::string_view
      path;  // "/v1/models/*": whatever follows, slashes too, and at least one character
  void (*handle)(EndpointCall call);
};
std::span<const EndpointRow> endpoint_table();

// What requests are counted under that reach no row.
EndpointId no_endpoint();

// Finds the row and calls it; answers OPTIONS, HEAD of a GET, 404 and 405 (with Allow) itself.
void dispatch(RouterContext& router, ExchangePtr exchange);

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

}  // namespace bessemer
