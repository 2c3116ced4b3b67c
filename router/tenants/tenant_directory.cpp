#include "router/tenants/tenant_directory.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "common/sha256.h"

namespace bessemer {
namespace {

constexpr size_t kHashDigits = 64, kMaxNameBytes = 64;
constexpr int32_t kMaxWeight = 1000;

Status wrong(const std::string& tenant, const std::string& what) {
  return absl::InvalidArgumentError(fmt::format("tenant '{}': {}", tenant, what));
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<ServiceClass> class_of(std::string_view name) {
  if (name == "interactive") return ServiceClass::interactive;
  if (name == "default") return ServiceClass::normal;
  if (name == "batch") return ServiceClass::batch;
  return std::nullopt;
}

StatusOr<Tenant> make_tenant(const TenantConfig& config) {
  if (!is_name(config.name)) {
    return absl::InvalidArgumentError(fmt::format(
        "a tenant's name is 1 to {} of A-Z a-z 0-9 . _ -, not '{}'", kMaxNameBytes, config.name));
  }
  if (config.weight < 1 || config.weight > kMaxWeight) {
    return wrong(config.name,
                 fmt::format("weight must be from 1 to {}, not {}", kMaxWeight, config.weight));
  }
  const auto service_class = class_of(config.service_class);
  if (!service_class) {
    return wrong(config.name, fmt::format("class must be interactive, default or batch, not '{}'",
                                          config.service_class));
  }
  if (config.requests_per_minute < 0 || config.tokens_per_minute < 0)
    return wrong(config.name, "limits cannot be negative; 0 is none");
  Tenant tenant;
  // 0 is everybody.
  tenant.id = std::max<uint64_t>(XXH3_64bits(config.name.data(), config.name.size()), 1);
  tenant.name = config.name;
  tenant.weight = config.weight;
  tenant.service_class = *service_class;
  tenant.requests_per_minute = config.requests_per_minute;
  tenant.tokens_per_minute = config.tokens_per_minute;
  tenant.admin = config.admin;
  return tenant;
}

}  // namespace

StatusOr<TenantDirectoryPtr> TenantDirectory::make(const std::vector<TenantConfig>& tenants) {
  auto directory = std::make_shared<TenantDirectory>();
  directory->is_open_ = tenants.empty();
  std::set<std::string> names;
  for (const TenantConfig& config : tenants) {
    ASSIGN_OR_RETURN(Tenant made, make_tenant(config));
    if (!names.insert(config.name).second) return wrong(config.name, "is there twice");
    const auto tenant = std::make_shared<const Tenant>(std::move(made));
    for (const std::string& hash : config.keys) {
      if (!is_hash(hash)) {
        return wrong(config.name,
                     "a key is given by its hash, 64 hexadecimal digits: `bessemer key` makes keys "
                     "with their hashes");
      }
      if (!directory->by_hash_.emplace(hash, tenant).second)
        return wrong(config.name, "one of its keys is there twice");
    }
    if (config.keyless && std::exchange(directory->keyless_, tenant) != nullptr)
      return wrong(config.name, "another tenant is keyless already");
    if (config.keys.empty() && !config.keyless)
      return wrong(config.name, "has neither keys nor keyless: true, so nobody could be it");
  }
  return TenantDirectoryPtr(std::move(directory));
}

// Whoever measures how long this takes learns of the hash of what he sent, and of nobody's key.
TenantPtr TenantDirectory::find(std::string_view key) const {
  const auto found = by_hash_.find(sha256_of(key));
  return found == by_hash_.end() ? nullptr : found->second;
}

}  // namespace bessemer
