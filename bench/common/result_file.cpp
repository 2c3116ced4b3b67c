#include "bench/common/result_file.h"

#include <fstream>

namespace bessemer::bench {

Status write_json(const std::string& path, const json::object& document) {
  std::ofstream file(path);
  file << json::serialize(document) << "\n";
  file.close();
  if (file) return absl::OkStatus();
  return absl::PermissionDeniedError("cannot write " + path + "; is there such a folder?");
}

}  // namespace bessemer::bench
