// One prompt's way to a worker: what the router knew when it chose, and what came of it.
//
// Invariants
//   T1  From claim() to admitted() or release() the tokens that the worker is believed to lack are
//       part of its load (LoadSlot::unadmitted), and no longer.
//   T2  From claim() to computed() or release() the prompt's blocks are pledged to the worker.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "router/cluster/kv_pledges.h"
#include "router/endpoints/routing_stats.h"
#include "router/routing/placement.h"

namespace bessemer {

class PromptRoute {
 public:
  // `chain`: the block hashes of the prompt (prefix_chain). `book` outlives this.
  PromptRoute(ChainPtr chain, int64_t prompt_tokens, PledgeBook& book)
      : chain_(std::move(chain)), prompt_tokens_(prompt_tokens), book_(book) {}
  ~PromptRoute() { release(); }
  PromptRoute(const PromptRoute&) = delete;
  PromptRoute& operator=(const PromptRoute&) = delete;

  // Hash of the first block, 0 where there is none: prompts that begin alike share it.
  uint64_t beginning() const { return chain_->empty() ? 0 : chain_->front(); }
  std::span<const uint64_t> chain() const { return *chain_; }
  // Tokens that the worker with most of the prompt has, when this one was chosen.
  void note_best(int64_t tokens) { best_ = tokens; }

  void claim(std::shared_ptr<LoadSlot> load, const PlaceOn& place, RoutingStats& stats);
  // The worker has taken it, and said what is in front of it.
  void admitted(const v1::Admitted& admitted);
  // Its first token has come.
  void computed();
  // It is over, and the worker has said what it had of the prompt when it began.
  void finished(int64_t cached_tokens, RoutingStats& stats);
  // The attempt is over, or never began.
  void release();

  // The last choice in one line: for the log, and for whoever asks for it.
  std::string explain(const std::string& worker_address) const;

 private:
  void unload();

  const ChainPtr chain_;
  const int64_t prompt_tokens_;
  PledgeBook& book_;
  int64_t best_ = 0;  // tokens that the candidate with most has, at the last look
  PlaceOn place_;
  std::shared_ptr<LoadSlot> load_;  // while T1 holds
  int64_t claimed_ = 0;             // tokens, of T1
  KvPledgePtr pledge_;              // while T2 holds
};

}  // namespace bessemer
