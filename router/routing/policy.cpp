#include "router/routing/policy.h"

#include <array>

namespace bessemer {
namespace {

struct PolicyRow {
  const char* name;
  std::unique_ptr<Policy> (*make)();
};

constexpr std::array kPolicies{
    PolicyRow{"cache_aware", [] { return make_cache_aware(); }},
    PolicyRow{"least_loaded", make_least_loaded},
    PolicyRow{"power_of_two", make_power_of_two},
    PolicyRow{"consistent_hash", make_consistent_hash},
    PolicyRow{"round_robin", make_round_robin},
};

}  // namespace

const char* choice_reason_name(ChoiceReason reason) {
  constexpr std::array<const char*, kChoiceReasons> kNames{"only", "load", "prefix", "session",
                                                           "tie",  "turn", "sample", "hash"};
  return kNames[static_cast<size_t>(reason)];
}

StatusOr<std::unique_ptr<Policy>> make_policy(const std::string& name) {
  std::string known;
  for (const auto& row : kPolicies) {
    if (name == row.name) return row.make();
    known += known.empty() ? row.name : std::string(", ") + row.name;
  }
  return absl::InvalidArgumentError("unknown routing policy '" + name + "'; known: " + known);
}

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const auto& row : kPolicies) names.emplace_back(row.name);
  return names;
}

}  // namespace bessemer
