#include "router/endpoints/generation.h"
#include "router/endpoints/table.h"

namespace bessemer {

void handle_completions(EndpointCall call) {
  Generation::run(completion_dialect(), std::move(call));
}

}  // namespace bessemer
