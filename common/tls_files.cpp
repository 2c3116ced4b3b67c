#include "common/tls_files.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/file.h"

namespace bessemer {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;

// "tls_cert /etc/tls/tls.crt".
std::string name_of(const TlsFiles& files, const char* what, const std::string& path) {
  return fmt::format("{}_{} {}", files.prefix, what, path);
}

StatusOr<BioPtr> open_pem(const TlsFiles& files, const char* what, const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{0}_{1} is missing: give {0}_cert and {0}_key together", files.prefix, what));
  }
  auto text = read_file(path, kMaxPemBytes);
  if (!text.ok()) return annotate(text.status(), files.prefix + "_" + what);
  BioPtr memory(BIO_new(BIO_s_mem()));
  BIO_write(memory.get(), text->data(), static_cast<int>(text->size()));
  ERR_clear_error();
  return memory;
}

StatusOr<std::vector<X509Ptr>> read_certificates(const TlsFiles& files, const char* what,
                                                 const std::string& path) {
  ASSIGN_OR_RETURN(const BioPtr pem, open_pem(files, what, path));
  std::vector<X509Ptr> found;
  while (X509* one = PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr))
    found.emplace_back(one);
  // The end of the file is an error to OpenSSL; any other is a block that it cannot read.
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!ended) {
    return absl::InvalidArgumentError(name_of(files, what, path) +
                                      " holds a certificate that cannot be read");
  }
  if (!found.empty()) return found;
  return absl::InvalidArgumentError(name_of(files, what, path) +
                                    " holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
}

Status check_time(const TlsFiles& files, const X509& leaf) {
  const std::string name = name_of(files, "cert", files.cert);
  if (X509_cmp_current_time(X509_get0_notAfter(&leaf)) < 0)
    return absl::FailedPreconditionError(name + " has expired: have it issued anew");
  if (X509_cmp_current_time(X509_get0_notBefore(&leaf)) > 0) {
    return absl::FailedPreconditionError(name +
                                         " is not valid yet: is the clock of this machine right?");
  }
  return absl::OkStatus();
}

// A key behind a pass phrase is none: nobody is there to be asked for it.
int no_pass_phrase(char*, int, int, void*) {
  return -1;
}

}  // namespace

StatusOr<TlsIdentity> read_identity(const TlsFiles& files) {
  TlsIdentity identity;
  ASSIGN_OR_RETURN(identity.chain, read_certificates(files, "cert", files.cert));
  ASSIGN_OR_RETURN(const BioPtr pem, open_pem(files, "key", files.key));
  identity.key.reset(PEM_read_bio_PrivateKey(pem.get(), nullptr, no_pass_phrase, nullptr));
  ERR_clear_error();
  if (identity.key == nullptr) {
    return absl::InvalidArgumentError(
        name_of(files, "key", files.key) +
        " holds no private key in PEM, or one behind a pass phrase: give a plain one");
  }
  const int fits = X509_check_private_key(identity.chain.front().get(), identity.key.get());
  ERR_clear_error();
  if (fits != 1) {
    return absl::InvalidArgumentError(name_of(files, "key", files.key) + " is not the key of " +
                                      name_of(files, "cert", files.cert) +
                                      ": give the two that were issued together");
  }
  RETURN_IF_ERROR(check_time(files, *identity.chain.front()));
  return identity;
}

StatusOr<std::vector<X509Ptr>> read_authorities(const TlsFiles& files) {
  if (files.ca.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{0}_ca is missing: name the file of the authority that signs the peers' "
                    "certificates",
                    files.prefix));
  }
  return read_certificates(files, "ca", files.ca);
}

Status check_peer_files(const TlsFiles& files, PeerRole own) {
  ASSIGN_OR_RETURN(const TlsIdentity identity, read_identity(files));
  RETURN_IF_ERROR(read_authorities(files).status());
  const auto uris = uris_of(*identity.chain.front());
  if (role_of_uris(uris) == own) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "{} does not say that this is a {}: among its subject alternative names there must be one "
      "URI, spiffe://<trust domain>/{}, not {}",
      name_of(files, "cert", files.cert), peer_role_name(own), peer_role_name(own),
      uris.empty() ? "none" : fmt::format("{}", fmt::join(uris, " and "))));
}

std::vector<std::string> uris_of(X509& certificate) {
  std::vector<std::string> uris;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                      static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  GENERAL_NAMES_free(names);
  return uris;
}

}  // namespace bessemer
