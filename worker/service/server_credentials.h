// Who may talk to this worker: mutual TLS, with a role in the peer's certificate
// (common/peer_role.h) that decides which services it may call. The files are read again every
// second, by gRPC, for connections to come. Includes gRPC.
//
// Invariants
//   G1  Without a certificate that an authority of `files.ca` has signed there is no connection.
//   G2  A service that no rule names may be called by nobody.
#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include <grpcpp/security/server_credentials.h>

#include "common/peer_role.h"
#include "common/status.h"
#include "common/tls_files.h"

namespace bessemer {

// Plain without files. The error names setting, file and remedy.
StatusOr<std::shared_ptr<grpc::ServerCredentials>> make_server_credentials(const TlsFiles& files);

// `path` as gRPC writes it: "/bessemer.v1.Engine/Session".
bool may_call(std::optional<PeerRole> role, std::string_view path);

}  // namespace bessemer
