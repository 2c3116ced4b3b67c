// One logger per process, on stderr. Use as log().info("worker ready in {} ms", ms).
//
// spdlog stays behind log.cpp: its headers would cost every file that logs some ten seconds to
// compile.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>

namespace bessemer {

enum class LogLevel : uint8_t { trace, debug, info, warn, error, off };

// Thread-safe.
class Log {
 public:
  template <typename... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::debug, format, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::info, format, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::warn, format, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::error, format, fmt::make_format_args(args...));
  }

  bool should_log(LogLevel level) const;
  void set_level(LogLevel level);
  // Tests: messages go to `sink` instead of stderr; empty: to stderr again. Not while others log.
  void capture(std::function<void(std::string_view)> sink);

 private:
  void write(LogLevel level, fmt::string_view format, fmt::format_args args);
  std::function<void(std::string_view)> captured_;
};

Log& log();

// The level of a name: trace, debug, info, warn, error or off.
std::optional<LogLevel> log_level_of(std::string_view name);

// `level`: trace, debug, info, warn, error or off. `json`: one JSON object a line instead of text.
// `component` ("router", "worker 0") stands in every line.
void init_log(const std::string& component, const std::string& level, bool json);

}  // namespace bessemer
