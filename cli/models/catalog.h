// The built-in table of models that can be asked for by an alias.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bessemer {

struct CatalogEntry {
  std::string_view alias;  // what --model takes
  std::string_view name;   // served model name
  std::string_view description;
  std::string_view file;  // name in the cache's models/ folder
  uint64_t bytes;
  std::string_view sha256;  // hex, of the file
  // Where it comes from: one member of a Python wheel.
  std::string_view package, version, member;
  uint64_t wheel_bytes;
  std::string_view wheel_sha256;
};

std::span<const CatalogEntry> catalog();
const CatalogEntry* find_alias(std::string_view alias);  // nullptr: none
std::string alias_list();                                // "smollm2, ..."

}  // namespace bessemer
