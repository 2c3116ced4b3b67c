#include "router/cluster/prefix_chain.h"

#include "common/block_hash.h"

namespace bessemer {

std::vector<uint64_t> prefix_chain(uint64_t hash_domain, std::string_view root,
                                   std::span<const int32_t> ids, int32_t block_tokens) {
  std::vector<uint64_t> hashes;
  if (ids.empty() || block_tokens <= 0) return hashes;
  const auto block = static_cast<size_t>(block_tokens);
  hashes.reserve((ids.size() - 1) / block);
  BlockHash parent = chain_root(hash_domain, root);
  for (size_t at = 0; at + block < ids.size(); at += block) {
    parent = chain(parent, ids.subspan(at, block));
    hashes.push_back(parent.low);
  }
  return hashes;
}

}  // namespace bessemer
