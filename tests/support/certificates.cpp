#include "tests/support/certificates.h"

#include <cstdio>
#include <filesystem>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/check.h"

namespace bessemer {
namespace {

KeyPtr make_key() {
  return KeyPtr(EVP_EC_gen("P-256"));
}

void add_extension(X509& certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  CHECK(extension != nullptr);
  X509_add_ext(&certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Written beside and renamed, as whoever rotates certificates does.
template <typename Write>
void write_pem(const std::string& path, Write&& write) {
  FILE* file = std::fopen((path + ".new").c_str(), "wb");
  CHECK(file != nullptr);
  write(file);
  std::fclose(file);
  std::filesystem::rename(path + ".new", path);
}

}  // namespace

TestAuthority::TestAuthority(const std::string& folder)
    : folder_(folder), ca_(folder + "/ca.crt"), key_(make_key()) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  certificate_ = sign(*key_, "authority", {}, true);
  write_pem(ca_, [&](FILE* file) { PEM_write_X509(file, certificate_.get()); });
}

X509Ptr TestAuthority::sign(EVP_PKEY& subject_key, const std::string& name, const Wish& wish,
                            bool authority) const {
  static long serial = 1;
  X509Ptr made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), wish.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), wish.valid_until_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_pubkey(made.get(), &subject_key);
  X509* issuer = authority ? made.get() : certificate_.get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
  if (authority) add_extension(*made, NID_basic_constraints, "critical,CA:TRUE");
  std::string alternatives;
  for (const auto& one : wish.alternatives) alternatives += (alternatives.empty() ? "" : ",") + one;
  if (!alternatives.empty()) add_extension(*made, NID_subject_alt_name, alternatives);
  CHECK(X509_sign(made.get(), key_.get(), EVP_sha256()) > 0);
  return made;
}

TlsFiles TestAuthority::issue(const std::string& name, const Wish& wish) const {
  const KeyPtr key = make_key();
  const X509Ptr certificate = sign(*key, name, wish, false);
  const TlsFiles files{"peer", folder_ + "/" + name + ".crt", folder_ + "/" + name + ".key", ca_};
  write_pem(files.cert, [&](FILE* file) { PEM_write_X509(file, certificate.get()); });
  write_pem(files.key, [&](FILE* file) {
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return files;
}

}  // namespace bessemer
