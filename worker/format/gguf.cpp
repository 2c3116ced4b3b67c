#include "worker/format/gguf.h"

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/format/gguf_reader.h"
#include "worker/format/printable.h"

namespace bessemer {
namespace {

std::string system_message(int error) {
  return std::error_code(error, std::generic_category()).message();
}

Status system_error(const std::string& path, const std::string& what, int error) {
  const std::string message = path + ": " + what + ": " + system_message(error);
  return error == ENOENT ? absl::NotFoundError(message) : absl::FailedPreconditionError(message);
}

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

// The whole file, read-only. The mapping outlives the descriptor.
StatusOr<std::span<const std::byte>> map_file(const std::string& path) {
  const Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.value < 0) return system_error(path, "cannot be opened", errno);
  struct stat info{};
  if (::fstat(descriptor.value, &info) != 0) return system_error(path, "cannot be examined", errno);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(path + ": is not a regular file");
  if (info.st_size == 0) return absl::InvalidArgumentError(path + ": is empty (at byte 0)");
  const size_t size = static_cast<size_t>(info.st_size);
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.value, 0);
  if (start == MAP_FAILED) return system_error(path, "cannot be mapped", errno);
  return std::span(static_cast<const std::byte*>(start), size);
}

uint64_t offset_in(std::span<const std::byte> file, std::string_view text) {
  return static_cast<uint64_t>(reinterpret_cast<const std::byte*>(text.data()) - file.data());
}

// Positions 0 .. count - 1 in the order of name_of(position), equal names in file order.
template <typename NameOf>
std::vector<uint32_t> sorted_positions(size_t count, NameOf name_of) {
  std::vector<uint32_t> positions(count);
  std::iota(positions.begin(), positions.end(), 0u);
  std::sort(positions.begin(), positions.end(), [&](uint32_t a, uint32_t b) {
    const int order = name_of(a).compare(name_of(b));
    return order != 0 ? order < 0 : a < b;
  });
  return positions;
}

// The position whose name is `name`, or nullopt.
template <typename NameOf>
std::optional<uint32_t> find_position(const std::vector<uint32_t>& positions, std::string_view name,
                                      NameOf name_of) {
  const auto found = std::lower_bound(
      positions.begin(), positions.end(), name,
      [&](uint32_t position, std::string_view wanted) { return name_of(position) < wanted; });
  if (found == positions.end() || name_of(*found) != name) return std::nullopt;
  return *found;
}

// The first two positions in a row with the same name.
template <typename NameOf>
std::optional<std::pair<uint32_t, uint32_t>> find_duplicate(const std::vector<uint32_t>& positions,
                                                            NameOf name_of) {
  const auto same = [&](uint32_t a, uint32_t b) { return name_of(a) == name_of(b); };
  const auto found = std::adjacent_find(positions.begin(), positions.end(), same);
  if (found == positions.end()) return std::nullopt;
  return std::pair(*found, *(found + 1));
}

}  // namespace

StatusOr<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  ASSIGN_OR_RETURN(file->bytes_, map_file(path));
  file->mapped_ = true;
  RETURN_IF_ERROR(file->read());
  return std::shared_ptr<const GgufFile>(std::move(file));
}

StatusOr<std::shared_ptr<const GgufFile>> GgufFile::parse(std::span<const std::byte> bytes,
                                                          std::string name) {
  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = std::move(name);
  file->bytes_ = bytes;
  RETURN_IF_ERROR(file->read());
  return std::shared_ptr<const GgufFile>(std::move(file));
}

GgufFile::~GgufFile() {
  if (mapped_) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Status GgufFile::read() {
  ASSIGN_OR_RETURN(GgufContents contents, read_gguf(bytes_, path_));
  version_ = contents.version;
  alignment_ = contents.alignment;
  metadata_ = std::move(contents.metadata);
  tensors_ = std::move(contents.tensors);
  RETURN_IF_ERROR(index_keys());
  return index_tensors();
}

Status GgufFile::index_keys() {
  const auto name_of = [&](uint32_t i) { return metadata_[i].first; };
  keys_by_name_ = sorted_positions(metadata_.size(), name_of);
  const auto twice = find_duplicate(keys_by_name_, name_of);
  if (!twice) return absl::OkStatus();
  return absl::InvalidArgumentError(
      path_ + ": key '" + printable(name_of(twice->first), 80) + "': appears twice (at bytes " +
      std::to_string(offset_in(bytes_, name_of(twice->first))) + " and " +
      std::to_string(offset_in(bytes_, name_of(twice->second))) + ")");
}

Status GgufFile::index_tensors() {
  const auto name_of = [&](uint32_t i) { return tensors_[i].name; };
  tensors_by_name_ = sorted_positions(tensors_.size(), name_of);
  const auto twice = find_duplicate(tensors_by_name_, name_of);
  if (!twice) return absl::OkStatus();
  return absl::InvalidArgumentError(
      path_ + ": tensor '" + printable(name_of(twice->first), 80) + "': appears twice (at bytes " +
      std::to_string(offset_in(bytes_, name_of(twice->first))) + " and " +
      std::to_string(offset_in(bytes_, name_of(twice->second))) + ")");
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto position =
      find_position(keys_by_name_, key, [&](uint32_t i) { return metadata_[i].first; });
  return position ? &metadata_[*position].second : nullptr;
}

const GgufTensor* GgufFile::tensor(std::string_view name) const {
  const auto position =
      find_position(tensors_by_name_, name, [&](uint32_t i) { return tensors_[i].name; });
  return position ? &tensors_[*position] : nullptr;
}

}  // namespace bessemer
