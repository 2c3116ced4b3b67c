#include "common/log.h"

#include <array>
#include <utility>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "common/json.h"

namespace bessemer {
namespace {

// %*: the message as a JSON string.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text = json::serialize(
        json::string(std::string_view(message.payload.data(), message.payload.size())));
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

std::unique_ptr<spdlog::formatter> json_lines() {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JsonMessage>('*').set_pattern(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","component":"%n","message":%*})");
  return formatter;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

bool Log::should_log(LogLevel level) const {
  return spdlog::default_logger_raw()->should_log(spdlog_level(level));
}

void Log::set_level(LogLevel level) {
  spdlog::default_logger_raw()->set_level(spdlog_level(level));
}

void Log::capture(std::function<void(std::string_view)> sink) {
  captured_ = std::move(sink);
}

void Log::write(LogLevel level, fmt::string_view format, fmt::format_args args) {
  if (!should_log(level)) return;
  const std::string text = fmt::vformat(format, args);
  if (captured_) return captured_(text);
  spdlog::default_logger_raw()->log(spdlog_level(level), text);
}

Log& log() {
  static Log instance;
  return instance;
}

std::optional<LogLevel> log_level_of(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, LogLevel>, 6> kLevels = {{
      {"trace", LogLevel::trace},
      {"debug", LogLevel::debug},
      {"info", LogLevel::info},
      {"warn", LogLevel::warn},
      {"error", LogLevel::error},
      {"off", LogLevel::off},
  }};
  for (const auto& [known, level] : kLevels) {
    if (known == name) return level;
  }
  return std::nullopt;
}

void init_log(const std::string& component, const std::string& level, bool json) {
  auto logger = std::make_shared<spdlog::logger>(
      component, std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
  logger->flush_on(spdlog::level::info);
  if (json) {
    logger->set_formatter(json_lines());
  } else {
    logger->set_pattern("%H:%M:%S.%e %^%-7l%$ [%n] %v");
  }
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace bessemer
