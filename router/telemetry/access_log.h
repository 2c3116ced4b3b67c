// The access log's file. Lines are handed to a thread of its own (spdlog's), which writes them: no
// caller waits for a disk.
//
// Invariants
//   A1  write() takes a short lock and copies; it never waits for the file. Beyond kMaxQueuedLines
//       the oldest line that waits is dropped and counted.
//   A2  After reopen() has returned, every line that is written from then on goes to the path's
//       present file, whatever a rotation has made of the old one.
//   A3  What was taken is written before the destructor returns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"

namespace bessemer {

// Some 500 bytes each: 4 MB, and a second's worth at 8,000 requests a second.
constexpr size_t kMaxQueuedLines = 8192;

class AccessLog {
 public:
  // `path`: a file, appended to, or "-": standard output. Unavailable names the path that cannot be
  // written.
  static StatusOr<std::unique_ptr<AccessLog>> open(const std::string& path);
  virtual ~AccessLog() = default;

  // Any thread. A line without its end.
  virtual void write(std::string_view line) = 0;
  // Any thread; the file is opened anew before the next line.
  virtual void reopen() = 0;
  // Lines lost to a full queue.
  virtual uint64_t dropped() const = 0;
};

}  // namespace bessemer
