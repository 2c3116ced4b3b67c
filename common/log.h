// One logger per process, on stderr. Use as log().info("worker ready in {} ms", ms).
#pragma once
#include <string>

#include <spdlog/spdlog.h>

namespace bessemer {

inline spdlog::logger& log() {
  return *spdlog::default_logger_raw();
}

// `level`: trace, debug, info, warn, error or off. `json`: one JSON object a line instead of text.
// `component` ("router", "worker 0") stands in every line.
void init_log(const std::string& component, const std::string& level, bool json);

}  // namespace bessemer
