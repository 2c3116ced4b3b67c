#include "common/json.h"
#include "router/endpoints/prepare.h"
#include "router/endpoints/table.h"

namespace bessemer {
namespace {

json::object describe(const std::string& name, const v1::ModelCard& card) {
  json::object model;
  model["id"] = name;
  model["object"] = "model";
  model["created"] = card.created();
  model["owned_by"] = "bessemer";
  model["root"] = card.name();
  model["max_model_len"] = card.max_model_len();
  return model;
}

// "a%2Fb" -> "a/b"; a '%' without two digits stands for itself.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string decoded;
  for (size_t i = 0; i < text.size(); i++) {
    const bool escaped =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    if (!escaped) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return decoded;
}

}  // namespace

// Models that some worker serves now, aliases included.
void handle_models(EndpointCall call) {
  json::array data;
  for (const auto& [name, model] : call.core.view->models) {
    if (!model->workers.empty()) data.push_back(describe(name, *model->card));
  }
  respond_json(call, json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}}));
}

void handle_model(EndpointCall call) {
  const std::string name = percent_decoded(path_rest(call));
  const auto found = find_model(*call.core.view, name);
  if (const auto* error = std::get_if<ApiError>(&found)) return respond(call, *error);
  respond_json(call, json::serialize(describe(name, *std::get<0>(found)->card)));
}

}  // namespace bessemer
