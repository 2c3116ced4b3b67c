#include "common/block_hash.h"

#include <cstring>

#define XXH_STATIC_LINKING_ONLY  // XXH3_state_t as a value
#include <xxhash.h>

namespace bessemer {

BlockHash content_hash(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::string content_hash_hex(std::string_view bytes) {
  const BlockHash hash = content_hash(bytes);
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

BlockHash chain_root(uint64_t hash_domain, std::string_view root) {
  char domain[8];
  for (int i = 0; i < 8; ++i) domain[i] = static_cast<char>(hash_domain >> (8 * i));
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, domain, sizeof domain);
  XXH3_128bits_update(&state, root.data(), root.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

namespace {

// A block of up to 256 ids is hashed in one piece: setting up and ending a stream takes several
// times as long as the hash of 16 ids.
constexpr size_t kPieceBytes = sizeof(BlockHash) + 256 * sizeof(int32_t);

XXH128_hash_t chain_in_one_piece(const BlockHash& parent, std::span<const int32_t> ids) {
  char piece[kPieceBytes];
  std::memcpy(piece, &parent, sizeof parent);
  if (!ids.empty()) std::memcpy(piece + sizeof parent, ids.data(), ids.size_bytes());
  return XXH3_128bits(piece, sizeof parent + ids.size_bytes());
}

XXH128_hash_t chain_as_stream(const BlockHash& parent, std::span<const int32_t> ids) {
  XXH3_state_t state;
  XXH3_128bits_reset(&state);
  XXH3_128bits_update(&state, &parent, sizeof parent);
  XXH3_128bits_update(&state, ids.data(), ids.size_bytes());
  return XXH3_128bits_digest(&state);
}

}  // namespace

BlockHash chain(BlockHash parent, std::span<const int32_t> ids) {
  const bool fits = sizeof parent + ids.size_bytes() <= kPieceBytes;
  const XXH128_hash_t hash = fits ? chain_in_one_piece(parent, ids) : chain_as_stream(parent, ids);
  return {hash.low64, hash.high64};
}

}  // namespace bessemer
