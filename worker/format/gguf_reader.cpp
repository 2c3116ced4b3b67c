#include "worker/format/gguf_reader.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace bessemer {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint32_t kMinAlignment = 8;       // the specification's
constexpr uint32_t kDefaultAlignment = 32;  // the specification's

Status check_magic(const GgufCursor& in, std::span<const std::byte> start) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text == kMagic) return absl::OkStatus();
  const std::string remedy =
      text == "vers" ? "; it looks like a Git LFS pointer: fetch the file itself" : "";
  return in.error("header",
                  "not a GGUF file: it begins with " + quoted_name(text) + ", not 'GGUF'" + remedy,
                  0);
}

Status check_version(const GgufCursor& in, uint32_t version, uint64_t offset) {
  if (version == 2 || version == 3) return absl::OkStatus();
  const bool swapped = version != 0 && (version & 0xffffu) == 0;
  if (swapped) {
    return in.error("header", "a big-endian file; convert the model on a little-endian machine",
                    offset);
  }
  return in.error("header",
                  fmt::format("GGUF version {} is not supported, only 2 and 3; convert the model "
                              "again with a current tool",
                              version),
                  offset);
}

StatusOr<uint32_t> find_alignment(const GgufCursor& in, const GgufMetadata& metadata) {
  const auto found = std::find_if(metadata.begin(), metadata.end(),
                                  [](const auto& entry) { return entry.first == kAlignmentKey; });
  if (found == metadata.end()) return kDefaultAlignment;
  const auto& [key, value] = *found;
  const std::string where = "key " + quoted_name(key);
  const uint32_t* alignment = std::get_if<uint32_t>(&value);
  if (alignment == nullptr) {
    return in.error(where, "must be a u32, not " + type_name(value), in.offset_of(key));
  }
  if (*alignment < kMinAlignment || !std::has_single_bit(*alignment)) {
    return in.error(
        where, fmt::format("must be a power of two from {} up, not {}", kMinAlignment, *alignment),
        in.offset_of(key));
  }
  return *alignment;
}

}  // namespace

StatusOr<GgufContents> read_gguf(std::span<const std::byte> bytes, const std::string& file) {
  GgufCursor in(bytes, file);
  GgufContents out;
  RETURN_IF_ERROR(check_magic(in, in.take(std::min<uint64_t>(in.left(), kMagic.size()))));
  const uint64_t version_offset = in.offset();
  ASSIGN_OR_RETURN(out.version, in.number<uint32_t>("header", "the version"));
  RETURN_IF_ERROR(check_version(in, out.version, version_offset));
  const uint64_t tensors_offset = in.offset();
  ASSIGN_OR_RETURN(const uint64_t tensors, in.number<uint64_t>("header", "the tensor count"));
  const uint64_t entries_offset = in.offset();
  ASSIGN_OR_RETURN(const uint64_t entries, in.number<uint64_t>("header", "the metadata count"));
  ASSIGN_OR_RETURN(out.metadata, read_metadata(in, entries, entries_offset));
  ASSIGN_OR_RETURN(out.alignment, find_alignment(in, out.metadata));
  ASSIGN_OR_RETURN(out.tensors, read_tensors(in, tensors, tensors_offset, out.alignment));
  return out;
}

}  // namespace bessemer
