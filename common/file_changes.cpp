#include "common/file_changes.h"

#include <utility>

#include <sys/stat.h>

namespace bessemer {

FileChanges::FileChanges(const std::vector<std::string>& paths) {
  for (const auto& path : paths) {
    if (path.empty()) continue;
    paths_.push_back(path);
    stamps_.push_back(stamp_of(path));
  }
}

FileChanges::Stamp FileChanges::stamp_of(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size), info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

bool FileChanges::changed() {
  bool any = false;
  for (size_t i = 0; i < paths_.size(); i++) {
    const Stamp now = stamp_of(paths_[i]);
    any = std::exchange(stamps_[i], now) != now || any;
  }
  return any;
}

}  // namespace bessemer
