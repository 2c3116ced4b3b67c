// The chained hash of a prefix: one XXH3-128 per full KV block over (parent, ids). Router and
// worker compute the same chain.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bessemer {

struct BlockHash {
  uint64_t low = 0, high = 0;
  bool operator==(const BlockHash&) const = default;
};

// Content hash of any bytes, as hex (32 digits): model cards, tokenizers, files.
std::string content_hash_hex(std::string_view bytes);
BlockHash content_hash(std::string_view bytes);

// Hash of one block under `parent` (the root of the chain for the first).
BlockHash chain(BlockHash parent, std::span<const int32_t> ids);
using ChainHash = BlockHash (*)(BlockHash parent, std::span<const int32_t> ids);
// Where a chain begins: the model card's hash_domain (eight bytes, lowest first), then the bytes of
// whose prefix it is (Start.cache.root; none: everybody's).
BlockHash chain_root(uint64_t hash_domain, std::string_view root);

}  // namespace bessemer
