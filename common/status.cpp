#include "common/status.h"

namespace bessemer {

Status annotate(const Status& error, const std::string& context) {
  if (error.ok() || context.empty()) return error;
  return Status(error.code(), context + ": " + std::string(error.message()));
}

}  // namespace bessemer
