#include "router/cluster/vocabulary_cache.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <unistd.h>

#include "common/block_hash.h"

namespace bessemer {
namespace {

// The hash comes from a worker and becomes a file's name.
bool is_hex(const std::string& text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string VocabularyCache::path_of(const std::string& hash) const {
  return folder_ + "/" + hash + ".vocabulary";
}

std::optional<std::string> VocabularyCache::load(const std::string& hash) const {
  if (folder_.empty() || !is_hex(hash)) return std::nullopt;
  std::ifstream file(path_of(hash), std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (content_hash_hex(bytes) != hash) return std::nullopt;
  return bytes;
}

Status VocabularyCache::store(const std::string& hash, const std::string& bytes) const {
  if (folder_.empty()) return absl::OkStatus();
  if (!is_hex(hash)) return absl::InvalidArgumentError("'" + hash + "' is no content hash");
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error)
    return absl::UnavailableError("cannot make folder " + folder_ + ": " + error.message());
  const std::string partial = path_of(hash) + "." + std::to_string(getpid()) + ".partial";
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return absl::UnavailableError("cannot write " + partial + "; is the disk full?");
  std::filesystem::rename(partial, path_of(hash), error);
  if (error) return absl::UnavailableError("cannot rename " + partial + ": " + error.message());
  return absl::OkStatus();
}

}  // namespace bessemer
