// Whether files were written or replaced since somebody last looked.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bessemer {

// By what stat says, at the end of links: a Secret or ConfigMap that is mounted by Kubernetes changes
// by changing a link. Polled rather than notified: it works on every file system, and costs a few
// microseconds a look.
class FileChanges {
 public:
  // Empty paths are left out.
  explicit FileChanges(const std::vector<std::string>& paths);
  // True when any is not what it was at the last look, or at the beginning. A file that is missing
  // for a while is one change when it goes and another when it comes.
  bool changed();

 private:
  struct Stamp {
    uint64_t device = 0, inode = 0, bytes = 0;
    int64_t seconds = 0, nanoseconds = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  static Stamp stamp_of(const std::string& path);
  std::vector<std::string> paths_;
  std::vector<Stamp> stamps_;
};

}  // namespace bessemer
