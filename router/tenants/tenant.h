// Whose request it is: what a key stands for. Values.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bessemer {

// Who is served first where not everybody can be: by weight, so that none waits for ever.
enum class ServiceClass : uint8_t { interactive, normal, batch };

// As the tenants file says it.
struct TenantConfig {
  std::string name;
  std::vector<std::string>
      keys;              // hex SHA-256 of each API key; the keys themselves are kept nowhere
  bool keyless = false;  // requests without a key are this tenant's
  int32_t weight = 1;    // its share of a cluster that is full, against other tenants'
  std::string service_class = "default";  // interactive, default or batch
  int64_t requests_per_minute = 0;        // 0: no limit
  int64_t tokens_per_minute = 0;          // prompt and output; 0: no limit
  bool admin = false;                     // is told how its requests were placed

  bool operator==(const TenantConfig&) const = default;
};

struct Tenant {
  uint64_t id = 0;  // of its name, on the wire; 0: everybody, where there are no tenants
  std::string name;
  int32_t weight = 1;
  ServiceClass service_class = ServiceClass::normal;
  int64_t requests_per_minute = 0, tokens_per_minute = 0;
  bool admin = false;

  bool is_limited() const { return requests_per_minute > 0 || tokens_per_minute > 0; }
};

}  // namespace bessemer
