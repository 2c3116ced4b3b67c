// Variables by which a test is told how long to run, and from where.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <string>

namespace bessemer::test {

// "" where it is not set.
inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}
inline uint64_t environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

}  // namespace bessemer::test
