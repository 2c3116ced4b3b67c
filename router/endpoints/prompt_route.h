// One prompt's way to a worker: what the router knew when it chose, and what came of it.
//
// Invariants
//   T1  From claim() to admitted() or release() the tokens that the worker is believed to lack are
//       part of its load (LoadSlot::unadmitted), and no longer.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "router/cluster/kv_index.h"
#include "router/endpoints/routing_stats.h"
#include "router/routing/placement.h"

namespace bessemer {

class PromptRoute {
 public:
  // `chain`: the block hashes of the prompt (prefix_chain), which outlive this.
  PromptRoute(std::span<const uint64_t> chain, int64_t prompt_tokens)
      : chain_(chain), prompt_tokens_(prompt_tokens) {}
  ~PromptRoute() { release(); }
  PromptRoute(const PromptRoute&) = delete;
  PromptRoute& operator=(const PromptRoute&) = delete;

  // Hash of the first block, 0 where there is none: prompts that begin alike share it.
  uint64_t beginning() const { return chain_.empty() ? 0 : chain_.front(); }
  std::span<const uint64_t> chain() const { return chain_; }
  // Tokens that the worker with most of the prompt has, when this one was chosen.
  void note_best(int64_t tokens) { best_ = tokens; }
  void claim(std::shared_ptr<LoadSlot> load, const PlaceOn& place, RoutingStats& stats);
  // The worker has taken it, and said what it has of it.
  void admitted(const v1::Admitted& admitted, RoutingStats& stats);
  void release();

  // The last choice in one line: for the log, and for whoever asks for it.
  std::string explain(const std::string& worker_address) const;

 private:
  const std::span<const uint64_t> chain_;
  const int64_t prompt_tokens_;
  int64_t best_ = 0;  // tokens that the candidate with most has, at the last look
  PlaceOn place_;
  std::shared_ptr<LoadSlot> load_;  // while T1 holds
  int64_t claimed_ = 0;             // tokens, of T1
};

}  // namespace bessemer
