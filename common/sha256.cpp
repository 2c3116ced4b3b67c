#include "common/sha256.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <openssl/evp.h>

namespace bessemer {

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string sha256_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr);
  return hex_of({digest.data(), length});
}

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
  return hex_of({bytes, length});
}

}  // namespace bessemer
