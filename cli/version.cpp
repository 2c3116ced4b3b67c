#include "cli/version.h"

#include "common/version.h"
#include "worker/backend/registry.h"

namespace bessemer {

std::string version_text() {
  std::string text = "bessemer " + std::string(kVersion);
  for (const std::string& line : describe_backends()) text += "\n  " + line;
  return text;
}

}  // namespace bessemer
