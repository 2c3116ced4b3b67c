#include "worker/runner/host_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

namespace bessemer {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// The number at the start of `text`; nullopt for "max" and whatever else is none.
std::optional<uint64_t> leading_number(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + start, text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

// The number behind `name` at the start of a line.
std::optional<uint64_t> field(std::string_view text, std::string_view name) {
  for (size_t line = 0; line < text.size();) {
    const std::string_view rest = text.substr(line);
    if (rest.starts_with(name)) return leading_number(rest.substr(name.size()));
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    line += end + 1;
  }
  return std::nullopt;
}

struct ControlGroup {
  const char *limit, *usage,
      *reclaimable;  // files in the group's folder, and the line of memory.stat
};
constexpr ControlGroup kVersion2{"memory.max", "memory.current", "inactive_file "};
constexpr ControlGroup kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes",
                                 "total_inactive_file "};

uint64_t left_in(const std::string& folder, const ControlGroup& names) {
  const auto number = [&](const char* name) -> std::optional<uint64_t> {
    const auto text = read_text(folder + "/" + name);
    return text ? leading_number(*text) : std::nullopt;
  };
  const auto limit = number(names.limit), usage = number(names.usage);
  if (!limit || !usage) return kUnlimited;
  const uint64_t reclaimable =
      field(read_text(folder + "/memory.stat").value_or(""), names.reclaimable).value_or(0);
  const uint64_t held = *usage - std::min(*usage, reclaimable);
  return *limit - std::min(*limit, held);
}

// The least that is left in `path` and all groups above it.
uint64_t left_along(const std::string& mount, std::string path, const ControlGroup& names) {
  uint64_t least = left_in(mount, names);
  while (!path.empty() && path != "/") {
    least = std::min(least, left_in(mount + path, names));
    path.resize(path.find_last_of('/'));
  }
  return least;
}

// /proc/self/cgroup: lines of "id:controllers:path"; no controllers in version 2.
uint64_t left_in_groups(const std::string& root) {
  uint64_t least = kUnlimited;
  std::istringstream lines(read_text(root + "/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      least = std::min(least, left_along(root + "/sys/fs/cgroup", path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, left_along(root + "/sys/fs/cgroup/memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace

StatusOr<uint64_t> available_memory_bytes(const std::string& root) {
  const auto kilobytes = field(read_text(root + "/proc/meminfo").value_or(""), "MemAvailable:");
  if (!kilobytes) {
    return absl::UnavailableError("cannot read MemAvailable from " + root +
                                  "/proc/meminfo: set the KV cache's size, kv_cache_mb");
  }
  return std::min(*kilobytes * 1024, left_in_groups(root));
}

}  // namespace bessemer
