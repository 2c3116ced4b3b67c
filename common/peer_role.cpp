#include "common/peer_role.h"

#include <array>

namespace bessemer {
namespace {

constexpr std::array kRoles = {PeerRole::router, PeerRole::worker, PeerRole::admin,
                               PeerRole::scraper};
constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxUriBytes = 2048;  // SPIFFE-ID, section 2.3

}  // namespace

const char* peer_role_name(PeerRole role) {
  switch (role) {
    case PeerRole::router:
      return "router";
    case PeerRole::worker:
      return "worker";
    case PeerRole::admin:
      return "admin";
    case PeerRole::scraper:
      return "scraper";
  }
  return "";
}

std::optional<PeerRole> role_in_uri(std::string_view uri) {
  if (uri.size() > kMaxUriBytes || !uri.starts_with(kScheme)) return std::nullopt;
  uri.remove_prefix(kScheme.size());
  const bool odd = uri.find_first_of("?#@%") != std::string_view::npos ||
                   uri.find("//") != std::string_view::npos;
  const size_t slash = uri.rfind('/');
  if (odd || slash == std::string_view::npos || uri.front() == '/') return std::nullopt;
  for (const PeerRole role : kRoles) {
    if (uri.substr(slash + 1) == peer_role_name(role)) return role;
  }
  return std::nullopt;
}

std::optional<PeerRole> role_of_uris(std::span<const std::string> uris) {
  return uris.size() == 1 ? role_in_uri(uris.front()) : std::nullopt;
}

}  // namespace bessemer
