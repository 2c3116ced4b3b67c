// Where results go.
#pragma once
#include <string>

#include "common/json.h"
#include "common/status.h"

namespace bessemer::bench {

// One document, one line. PermissionDenied names the file.
Status write_json(const std::string& path, const json::object& document);

}  // namespace bessemer::bench
