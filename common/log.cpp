#include "common/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace bessemer {

void init_log(const std::string& component, const std::string& level, bool json) {
  auto logger = std::make_shared<spdlog::logger>(
      component, std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
  logger->flush_on(spdlog::level::info);
  if (json) {
    logger->set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","component":"%n","message":"%v"})");
  } else {
    logger->set_pattern("%H:%M:%S.%e %^%-7l%$ [%n] %v");
  }
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace bessemer
