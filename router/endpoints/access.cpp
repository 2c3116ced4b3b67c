#include "router/endpoints/access.h"

#include <algorithm>
#include <cctype>

namespace bessemer {
namespace {

// Where there are no tenants nothing is kept from anybody.
const TenantPtr& everybody() {
  static const TenantPtr tenant = [] {
    Tenant all;
    all.admin = true;
    return std::make_shared<const Tenant>(all);
  }();
  return tenant;
}

// "Bearer KEY" -> "KEY"; the scheme in any case, as RFC 9110 has it. nullopt: another scheme.
std::optional<std::string_view> bearer(std::string_view text) {
  constexpr std::string_view kScheme = "bearer ";
  const auto alike = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  };
  if (text.size() < kScheme.size() ||
      !std::equal(kScheme.begin(), kScheme.end(), text.begin(),
                  [&](char scheme, char given) { return alike(given, scheme); }))
    return std::nullopt;
  text.remove_prefix(kScheme.size());
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

}  // namespace

std::optional<ApiError> identify(EndpointCall& call, bool needs_key) {
  call.tenant = everybody();
  const TenantDirectoryPtr& tenants = call.core.settings.tenants;
  if (tenants == nullptr || tenants->is_open()) return std::nullopt;
  const std::string* header = call.exchange->request().header("authorization");
  if (header == nullptr) {
    if (tenants->keyless() != nullptr) {
      call.tenant = tenants->keyless();
    } else if (needs_key) {
      return invalid_api_key("No API key was sent: add the header 'Authorization: Bearer KEY'.");
    }
    return std::nullopt;
  }
  const auto key = bearer(*header);
  const TenantPtr tenant = key ? tenants->find(*key) : nullptr;
  if (tenant != nullptr) {
    call.tenant = tenant;
  } else if (needs_key) {
    return invalid_api_key(key ? "The API key is not known here."
                               : "The Authorization header must be 'Bearer KEY'.");
  }
  return std::nullopt;
}

}  // namespace bessemer
