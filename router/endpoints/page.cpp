#include "router/endpoints/page.h"

#include "router/endpoints/table.h"

namespace bessemer {

// Scripts and styles only from the page itself, talking only to this server.
void handle_page(EndpointCall call) {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = page_html();
  response.headers = {
      {"cache-control", "no-cache"},
      {"content-security-policy",
       "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"x-content-type-options", "nosniff"}};
  respond(call, std::move(response));
}

}  // namespace bessemer
