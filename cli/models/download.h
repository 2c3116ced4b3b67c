// HTTP(S) downloads through libcurl, which is loaded only when a download is wanted: the binary
// starts without it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"

namespace bessemer {

class Downloader {
 public:
  // FailedPrecondition names the package when libcurl is not installed.
  static StatusOr<std::unique_ptr<Downloader>> create();
  virtual ~Downloader() = default;

  // The whole body, at most `limit_bytes`.
  virtual StatusOr<std::string> get(const std::string& url, const std::vector<std::string>& headers,
                                    size_t limit_bytes) = 0;
  // Into `path`, going on behind what is already there; `total_bytes` is known beforehand.
  // Transient errors are tried again with back-off, each time from where the last one stopped, or
  // from the beginning where the server cannot do that.
  virtual Status fetch(const std::string& url, const std::string& path, uint64_t total_bytes,
                       const std::function<void(uint64_t done)>& progress) = 0;
};

}  // namespace bessemer
