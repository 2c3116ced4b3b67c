#include "worker/service/server_credentials.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

namespace bessemer {
namespace {

namespace tls = grpc::experimental;

constexpr unsigned kRereadSeconds = 1;

constexpr unsigned bit(PeerRole role) {
  return 1u << static_cast<unsigned>(role);
}
constexpr unsigned kEverybody =
    bit(PeerRole::router) | bit(PeerRole::worker) | bit(PeerRole::admin) | bit(PeerRole::scraper);

struct ServiceRule {
  std::string_view service;
  unsigned roles;
};
constexpr std::array kRules{
    ServiceRule{"bessemer.v1.Engine", bit(PeerRole::router)},
    ServiceRule{"bessemer.v1.State",
                bit(PeerRole::router) | bit(PeerRole::admin) | bit(PeerRole::scraper)},
    ServiceRule{"bessemer.v1.Admin", bit(PeerRole::admin)},
    ServiceRule{"grpc.health.v1.Health", kEverybody},
    ServiceRule{"grpc.reflection.v1alpha.ServerReflection", bit(PeerRole::admin)},
};

std::string_view view_of(grpc::string_ref text) {
  return {text.data(), text.size()};
}

// Asked once a call, before the service hears of it.
class RoleGuard final : public grpc::AuthMetadataProcessor {
 public:
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    std::vector<std::string> uris;
    for (const auto& uri : context->FindPropertyValues("peer_uri"))
      uris.emplace_back(uri.data(), uri.size());
    const auto role = role_of_uris(uris);
    const auto path = metadata.find(":path");
    const std::string_view called = path == metadata.end() ? "" : view_of(path->second);
    if (may_call(role, called)) return grpc::Status::OK;
    const std::string who = role ? std::string("a ") + peer_role_name(*role)
                                 : "a certificate without a role (spiffe://<domain>/<role>)";
    return {grpc::StatusCode::PERMISSION_DENIED, who + " may not call " + std::string(called)};
  }
};

}  // namespace

bool may_call(std::optional<PeerRole> role, std::string_view path) {
  if (!role || !path.starts_with('/')) return false;
  path.remove_prefix(1);
  const std::string_view service = path.substr(0, path.find('/'));
  for (const auto& rule : kRules) {
    if (rule.service == service) return (rule.roles & bit(*role)) != 0;
  }
  return false;
}

StatusOr<std::shared_ptr<grpc::ServerCredentials>> make_server_credentials(const TlsFiles& files) {
  if (!files.given()) return grpc::InsecureServerCredentials();
  RETURN_IF_ERROR(check_peer_files(files, PeerRole::worker));
  tls::TlsServerCredentialsOptions options(std::make_shared<tls::FileWatcherCertificateProvider>(
      files.key, files.cert, files.ca, kRereadSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  auto credentials = tls::TlsServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<RoleGuard>());
  return credentials;
}

}  // namespace bessemer
