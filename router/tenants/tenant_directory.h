// Which key is whose. Immutable: a new file makes a new one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "router/tenants/tenant.h"

namespace bessemer {

using TenantPtr = std::shared_ptr<const Tenant>;

class TenantDirectory {
 public:
  // Errors name the tenant and what is wrong: a name that is none or stands twice, a key that is no
  // hash or another's too, a bound.
  static StatusOr<std::shared_ptr<const TenantDirectory>> make(
      const std::vector<TenantConfig>& tenants);

  // Without tenants nobody needs a key, and everybody is one tenant.
  bool is_open() const { return is_open_; }
  // Whose key it is; null: nobody's.
  TenantPtr find(std::string_view key) const;
  // Who brings no key; null: a key is needed.
  TenantPtr keyless() const { return keyless_; }

 private:
  bool is_open_ = true;
  std::unordered_map<std::string, TenantPtr> by_hash_;
  TenantPtr keyless_;
};
using TenantDirectoryPtr = std::shared_ptr<const TenantDirectory>;

}  // namespace bessemer
