// Who a process of the cluster is, as its certificate says it: by a URI in the subject alternative
// names, of the form of SPIFFE (spiffe.io, "SPIFFE-ID"):
//
//   spiffe://<trust domain>/<path>/<role>
//
// The last segment of the path is the role. Which trust domain it is is for the certificate
// authority to say, who is the cluster's own.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bessemer {

enum class PeerRole : uint8_t { router, worker, admin, scraper };

const char* peer_role_name(PeerRole role);

// The role that one URI names, or none.
std::optional<PeerRole> role_in_uri(std::string_view uri);

// The role of a certificate by all its URIs. A SPIFFE certificate has exactly one: none or several
// name no role.
std::optional<PeerRole> role_of_uris(std::span<const std::string> uris);

}  // namespace bessemer
