#include "cli/inspect.h"

#include <cstdio>
#include <memory>

#include "cli/inspect/document.h"
#include "cli/inspect/table.h"
#include "common/json.h"
#include "worker/format/gguf.h"

namespace bessemer {

int inspect_command(const InspectOptions& options) {
  const StatusOr<std::shared_ptr<const GgufFile>> file = GgufFile::open(options.path);
  if (!file.ok()) {
    std::fprintf(stderr, "bessemer: %s\n", std::string(file.status().message()).c_str());
    return 1;
  }
  const std::string text =
      options.json ? json::serialize(inspect_document(**file)) + "\n" : inspect_table(**file);
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return 0;
  std::perror("bessemer: standard output");
  return 1;
}

}  // namespace bessemer
