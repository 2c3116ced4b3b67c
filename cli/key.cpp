#include "cli/key.h"

#include <array>
#include <cstdio>
#include <iostream>
#include <string>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "common/sha256.h"

namespace bessemer {
namespace {

constexpr size_t kKeyBytes = 24;  // of chance: nobody guesses 192 bits

int print_hash_of_input() {
  std::string key;
  std::getline(std::cin, key);
  if (!key.empty() && key.back() == '\r') key.pop_back();
  if (key.empty()) {
    fmt::print(stderr, "bessemer key: there is no key on standard input\n");
    return 1;
  }
  fmt::print("{}\n", sha256_of(key));
  return 0;
}

}  // namespace

int key_command(const KeyOptions& options) {
  if (options.hash) return print_hash_of_input();
  std::array<unsigned char, kKeyBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    fmt::print(stderr, "bessemer key: this system gives no random numbers\n");
    return 1;
  }
  const std::string key = "sk-bessemer-" + hex_of(bytes);
  fmt::print("key:  {}\nhash: {}\n", key, sha256_of(key));
  return 0;
}

}  // namespace bessemer
