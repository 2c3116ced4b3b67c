#include "common/json.h"
#include "router/endpoints/table.h"

namespace bessemer {

void handle_version(EndpointCall call) {
  respond_json(call, json::serialize(json::object{{"version", call.router.options.version}}));
}

}  // namespace bessemer
