#include "router/upstream/peer_credentials.h"

#include <string>
#include <utility>
#include <vector>

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "common/peer_role.h"
#include "router/upstream/grpc_credentials.h"

namespace bessemer {
namespace {

namespace tls = grpc::experimental;

constexpr unsigned kRereadSeconds = 1;

// In place of host names: a worker is met by the address of its pod, which no certificate knows.
class WorkerVerifier final : public tls::ExternalCertificateVerifier {
 public:
  bool Verify(tls::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    std::vector<std::string> uris;
    for (const auto& uri : request->uri_names()) uris.emplace_back(uri.data(), uri.size());
    if (role_of_uris(uris) != PeerRole::worker) {
      *status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                             "the peer's certificate names no worker: it needs one URI, "
                             "spiffe://<trust domain>/worker, as subject alternative name");
    }
    return true;  // decided at once
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest*) override {}
};

}  // namespace

StatusOr<std::shared_ptr<const PeerCredentials>> load_peer_credentials(const TlsFiles& files) {
  if (!files.given()) return std::shared_ptr<const PeerCredentials>();
  RETURN_IF_ERROR(check_peer_files(files, PeerRole::router));
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<tls::FileWatcherCertificateProvider>(
      files.key, files.cert, files.ca, kRereadSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<WorkerVerifier>());
  return std::make_shared<const PeerCredentials>(tls::TlsCredentials(options));
}

}  // namespace bessemer
