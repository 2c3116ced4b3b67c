// A request's body -> token ids and what to do with them. Pure: any thread; what it costs grows
// with the text.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "router/cluster/cluster_view.h"
#include "router/cluster/kv_pledges.h"
#include "router/endpoints/model_text.h"
#include "router/openai/error.h"
#include "router/openai/parse.h"
#include "router/tenants/tenant.h"

namespace bessemer {

struct PreparedPrompt {
  std::vector<int32_t> ids;  // at least one
  std::string text;          // what echo repeats, of `ids`; only where it is asked for
  ChainPtr chain;            // hashes of its blocks (prefix_chain)
  int32_t max_tokens = 0;    // output tokens of a choice; 0: none are delivered (echo alone)
};

struct PreparedRequest {
  ValidRequest request;  // its messages and prompts have been consumed
  std::shared_ptr<const ModelView> model;
  std::vector<PreparedPrompt> prompts;
  std::vector<std::vector<int32_t>> banned;  // token sequences of bad_words
};
using PrepareResult = std::variant<PreparedRequest, RefusedRequest>;

// Parses `body`, finds its model in `view`, renders, tokenises and checks lengths and ids.
PrepareResult prepare(ApiKind kind, std::string_view body, const ClusterView& view,
                      const Tenant& tenant = {});
// The same for what has been parsed.
PrepareResult prepare(ParseResult parsed, const ClusterView& view, const Tenant& tenant = {});

// The model of that name. 404 model_not_found; 503 while no model is known at all.
std::variant<std::shared_ptr<const ModelView>, ApiError> find_model(const ClusterView& view,
                                                                    const std::string& name);

// Chat messages as the model wants to read them.
std::variant<std::string, ApiError> render_chat(const ValidRequest& request, const ModelText& text);

}  // namespace bessemer
