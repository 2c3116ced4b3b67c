// The block hashes of a prompt, as WatchKv names them (proto/README.md): what the prefix index is
// asked for.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bessemer {

// Of the full blocks that a worker can take from its cache: never the prompt's last token, which
// has to be computed. `root`: whose prefixes they are (Start.cache.root). Empty where the card does
// not name a block size.
std::vector<uint64_t> prefix_chain(uint64_t hash_domain, std::string_view root,
                                   std::span<const int32_t> ids, int32_t block_tokens);

}  // namespace bessemer
