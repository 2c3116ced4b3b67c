#include "common/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace bessemer {

// stdio and not a stream: a stream's buffer throws on what can be opened but not read, a folder.
StatusOr<std::string> read_file(const std::string& path, size_t limit_bytes) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr)
    return absl::NotFoundError("cannot read " + path + ": " + std::strerror(errno));
  std::string text, piece(size_t{64} << 10, '\0');
  while (std::feof(file.get()) == 0 && std::ferror(file.get()) == 0) {
    const size_t count = std::fread(piece.data(), 1, piece.size(), file.get());
    text.append(piece, 0, count);
    if (text.size() > limit_bytes) {
      return absl::ResourceExhaustedError(path + " is longer than " + std::to_string(limit_bytes) +
                                          " bytes, the most that is read here");
    }
  }
  if (std::ferror(file.get()) != 0)
    return absl::UnavailableError("cannot read " + path + ": " + std::strerror(errno));
  return text;
}

}  // namespace bessemer
