#include "cli/models/sha256.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <openssl/evp.h>

namespace bessemer {

StatusOr<std::string> sha256_file(const std::string& path,
                                  const std::function<void(uint64_t)>& progress) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) return absl::NotFoundError(path + ": " + std::strerror(errno));
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(1 << 20);
  uint64_t done = 0;
  while (std::feof(file.get()) == 0 && std::ferror(file.get()) == 0) {
    const size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get());
    EVP_DigestUpdate(digest.get(), buffer.data(), count);
    done += count;
    if (progress) progress(done);
  }
  if (std::ferror(file.get()) != 0) return absl::DataLossError(path + ": read error");
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(digest.get(), bytes, &length);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

}  // namespace bessemer
