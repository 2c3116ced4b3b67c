#include "tests/sim/rivals/rival.h"

#include <array>

namespace bessemer::sim {
namespace {

struct RivalRow {
  const char* name;
  Contender (*make)();
};
constexpr std::array kRivals{RivalRow{"llm_d", make_llm_d}, RivalRow{"dynamo", make_dynamo},
                             RivalRow{"sglang", make_sglang}};

}  // namespace

std::vector<std::string> contender_names() {
  std::vector<std::string> names = policy_names();
  for (const RivalRow& row : kRivals) names.emplace_back(row.name);
  return names;
}

StatusOr<Contender> make_contender(const std::string& name) {
  for (const RivalRow& row : kRivals) {
    if (name == row.name) return row.make();
  }
  StatusOr<std::unique_ptr<Policy>> own = make_policy(name);
  if (own.ok()) return Contender{std::move(*own), nullptr};
  std::string known;
  for (const std::string& each : contender_names()) known += (known.empty() ? "" : ", ") + each;
  return absl::InvalidArgumentError("unknown policy '" + name + "'; known: " + known);
}

}  // namespace bessemer::sim
