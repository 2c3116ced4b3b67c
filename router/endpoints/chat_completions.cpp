#include "router/endpoints/generation.h"
#include "router/endpoints/table.h"

namespace bessemer {

void handle_chat_completions(EndpointCall call) {
  Generation::run(chat_dialect(), std::move(call));
}

}  // namespace bessemer
