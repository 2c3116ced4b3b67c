// Certificates and keys in PEM files: read and checked before anything relies on them, so that an
// error names the setting, the file and the remedy. Knows OpenSSL, no sockets.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/peer_role.h"
#include "common/status.h"

namespace bessemer {

// A chain of certificates and its keys take some 10 KB; a bundle of all public authorities 250 KB.
constexpr size_t kMaxPemBytes = size_t{1} << 20;

// Paths, and how the settings that name them begin: "tls" for tls_cert, tls_key, tls_ca.
struct TlsFiles {
  std::string prefix;
  std::string cert, key;
  std::string ca;  // empty: none

  bool given() const { return !cert.empty() || !key.empty() || !ca.empty(); }
};

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using X509Ptr = std::unique_ptr<X509, FreeX509>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;

struct TlsIdentity {
  std::vector<X509Ptr> chain;  // the leaf first; not empty
  KeyPtr key;                  // of the leaf
};

// Errors: a file that is missing or not what it should be, a key of another certificate, a leaf that
// is not valid now.
StatusOr<TlsIdentity> read_identity(const TlsFiles& files);
// The authorities of `files.ca`, at least one.
StatusOr<std::vector<X509Ptr>> read_authorities(const TlsFiles& files);

// What a process needs to meet others of its cluster: an identity that names the role `own` (see
// common/peer_role.h), and authorities.
Status check_peer_files(const TlsFiles& files, PeerRole own);

// The URIs among a certificate's subject alternative names.
std::vector<std::string> uris_of(X509& certificate);

}  // namespace bessemer
