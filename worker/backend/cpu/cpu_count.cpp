#include "worker/backend/cpu/cpu_count.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>

#include <sched.h>

namespace bessemer::cpu {
namespace {

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

std::optional<std::string> read_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

// "max 100000" or "150000 100000": microseconds of processor time in each period.
double quota_v2(const std::filesystem::path& group) {
  std::istringstream line(read_line(group / "cpu.max").value_or("max"));
  double quota = 0, period = 0;
  if (!(line >> quota >> period) || period <= 0 || quota <= 0) return kNoQuota;
  return quota / period;
}

// -1: none.
double quota_v1(const std::filesystem::path& group) {
  std::istringstream quota_line(read_line(group / "cpu.cfs_quota_us").value_or("-1"));
  std::istringstream period_line(read_line(group / "cpu.cfs_period_us").value_or("0"));
  double quota = -1, period = 0;
  if (!(quota_line >> quota) || !(period_line >> period) || quota <= 0 || period <= 0) {
    return kNoQuota;
  }
  return quota / period;
}

// The least quota of `group` and of the groups above it, up to the mount. Inside a container the
// path of the host may not exist below the mount: then only what does exist counts.
template <typename Quota>
double least_quota(const std::filesystem::path& mount, std::filesystem::path group,
                   const Quota& quota) {
  double least = quota(mount);
  for (group = group.relative_path(); !group.empty(); group = group.parent_path()) {
    least = std::min(least, quota(mount / group));
  }
  return least;
}

bool names_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

}  // namespace

int32_t cgroup_processors(const std::string& root) {
  const std::filesystem::path mount = root + "/sys/fs/cgroup";
  double least = kNoQuota;
  std::ifstream groups(root + "/proc/self/cgroup");
  // Lines "id:controllers:path"; version 2 has one line "0::path".
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_quota(mount, path, quota_v2));
    } else if (names_cpu(controllers)) {
      least = std::min(least, least_quota(mount / controllers, path, quota_v1));
      least = std::min(least, least_quota(mount / "cpu", path, quota_v1));
    }
  }
  if (least == kNoQuota) return 0;
  return static_cast<int32_t>(std::clamp(std::ceil(least), 1.0, 65536.0));
}

int32_t usable_processors() {
  auto count = static_cast<int32_t>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) count = CPU_COUNT(&allowed);
  const int32_t quota = cgroup_processors("");
  if (quota > 0) count = std::min(count, quota);
  return std::max(count, 1);
}

}  // namespace bessemer::cpu
