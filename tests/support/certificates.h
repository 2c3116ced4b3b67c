// Certificates for tests: an authority of one's own, in a folder.
#pragma once
#include <string>
#include <vector>

#include "common/tls_files.h"

namespace bessemer {

class TestAuthority {
 public:
  // Writes `ca.crt` into `folder`, which is made anew.
  explicit TestAuthority(const std::string& folder);

  struct Wish {
    std::vector<std::string>
        alternatives;  // as OpenSSL writes them: "DNS:localhost", "URI:spiffe://..."
    int valid_from_s = -60, valid_until_s = 3600;  // from now
  };
  // Writes <name>.crt and <name>.key, over what was there.
  TlsFiles issue(const std::string& name, const Wish& wish) const;
  TlsFiles issue_role(const std::string& role) const {
    return issue(role, {{"URI:spiffe://test/bessemer/" + role}});
  }
  const std::string& folder() const { return folder_; }

 private:
  X509Ptr sign(EVP_PKEY& subject_key, const std::string& name, const Wish& wish,
               bool authority) const;
  const std::string folder_, ca_;
  KeyPtr key_;
  X509Ptr certificate_;
};

}  // namespace bessemer
