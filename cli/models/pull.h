// Brings a model of the catalog into the cache, and turns what --model says into a file.
#pragma once
#include <string>

#include "cli/environment.h"
#include "cli/models/catalog.h"
#include "common/status.h"

namespace bessemer {

// Path of the verified file. Does nothing but check when it is there; resumes what an earlier call
// left; safe to call from several processes at once (one downloads, the others wait).
StatusOr<std::string> pull(const CatalogEntry& entry, const Environment& environment);

struct ResolvedModel {
  std::string path;   // of a .gguf file
  std::string name;   // served model name: the catalog's, or the file's stem
  std::string alias;  // empty for files
};
// `model`: a path, or an alias (which is pulled when missing). NotFound says what was tried and
// which aliases exist.
StatusOr<ResolvedModel> resolve_model(const std::string& model, const Environment& environment);

}  // namespace bessemer
