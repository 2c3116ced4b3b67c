// How this router proves to workers what it is, and knows that they are workers: mutual TLS with
// roles (common/peer_role.h). The files are read again every second, by gRPC, for connections to
// come.
#pragma once
#include <memory>

#include "common/status.h"
#include "common/tls_files.h"

namespace bessemer {

class PeerCredentials;  // gRPC's; see grpc_credentials.h

// Null without files: plain connections. The error names setting, file and remedy.
StatusOr<std::shared_ptr<const PeerCredentials>> load_peer_credentials(const TlsFiles& files);

}  // namespace bessemer
