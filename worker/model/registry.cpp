#include "worker/model/registry.h"

#include <utility>

#include <fmt/format.h>

#include "worker/model/architectures.h"

namespace bessemer {
namespace {

struct Architecture {
  const char* name;  // general.architecture
  StatusOr<std::unique_ptr<Model>> (*load)(const GgufFile&, Loader&, Rank);
};
constexpr Architecture kArchitectures[] = {
    {"llama", load_llama},
};

}  // namespace

StatusOr<std::unique_ptr<Model>> load_model(const GgufFile& file, Backend& backend, Rank rank,
                                            Loader::Progress progress) {
  ASSIGN_OR_RETURN(const std::string name, file.get_string("general.architecture"));
  for (const Architecture& architecture : kArchitectures) {
    if (name != architecture.name) continue;
    Loader loader(file, backend, rank, std::move(progress));
    ASSIGN_OR_RETURN(auto model, architecture.load(file, loader, rank));
    RETURN_IF_ERROR(loader.check_all_claimed());
    return model;
  }
  return absl::NotFoundError(
      fmt::format("{}: general.architecture: \"{}\" is not known; known are: {}", file.path(), name,
                  fmt::join(known_architectures(), ", ")));
}

std::vector<std::string> known_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

}  // namespace bessemer
