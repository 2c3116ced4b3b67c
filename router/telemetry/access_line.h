// A request as one line of the access log: a JSON object whose keys are always all there, null
// where a thing was not or is not known.
#pragma once
#include <string>

#include "router/telemetry/request_record.h"

namespace bessemer {

// Without the end of line. Valid UTF-8 whatever the client sent; of bounded length (T2).
std::string access_line(const RequestRecord& record);

}  // namespace bessemer
