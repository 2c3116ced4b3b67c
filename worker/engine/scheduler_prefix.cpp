// The scheduler's use of the prefix cache: what a choice finds there, for whom it waits, and what
// it leaves.
#include <algorithm>

#include "common/check.h"
#include "worker/engine/scheduler.h"

namespace bessemer {
namespace {

// Blocks of its history that a choice may take from others: full ones, and never its last row,
// which it draws from.
size_t most_to_find(const Sequence& s, int32_t block_tokens) {
  return static_cast<size_t>((s.known() - 1) / block_tokens);
}

}  // namespace

// Scores need the logits of every row, and the cache has none.
bool Scheduler::reads_cache(const ActiveRequest& request) const {
  return kv_.caches() && request.request.prompt_logprobs < 0;
}
bool Scheduler::fills_cache(const ActiveRequest& request) const {
  return kv_.caches() && request.request.cache_store;
}

// Nothing for a fork, which has its blocks. The history is all known (S2).
PrefixMatch Scheduler::find_prefix(const Sequence& s) const {
  const ActiveRequest& request = *s.request;
  if (!reads_cache(request) || !s.kv.empty()) return {};
  const size_t most = most_to_find(s, kv_.block_tokens());
  const Request& asked = request.request;
  if (s.output.empty()) {
    return kv_.find({asked.cache_root, asked.prompt, std::span(request.hashes).first(most)});
  }
  std::vector<int32_t> history = asked.prompt;
  append(history, s.output);
  const std::vector<BlockHash> hashes = kv_.hashes_of(asked.cache_root, history);
  return kv_.find({asked.cache_root, history, std::span(hashes).first(most)});
}

int32_t Scheduler::rows_of(const PrefixMatch& found) const {
  return found.blocks == 0 ? 0 : found.blocks * kv_.block_tokens();
}

void Scheduler::take_prefix(Sequence& s, const PrefixMatch& found) {
  ActiveRequest& request = *s.request;
  if (found.blocks > 0) {
    kv_.adopt(s.kv, found);
    s.computed = rows_of(found);
  }
  if (request.is_started() || !reads_cache(request)) return;
  request.found = std::min(rows_of(found), request.prompt_len());
  stats_.prefix_tokens_asked += static_cast<uint64_t>(request.prompt_len());
  stats_.prefix_tokens_found += static_cast<uint64_t>(request.found);
}

// Pending prefixes.

// How many first blocks of `s` there will be once `source` has computed its prompt; `found` of them
// are in the cache. Hashes are enough here: were two of them equal by chance, `s` would wait in
// vain, and then compute its blocks itself.
int32_t Scheduler::blocks_to_come(const Sequence& source, const Sequence& s, int32_t found) const {
  const ActiveRequest &from = *source.request, &to = *s.request;
  const size_t first = static_cast<size_t>(found);
  const std::vector<BlockHash>& theirs = from.hashes;
  const size_t most =
      std::min({theirs.size(), to.hashes.size(), most_to_find(s, kv_.block_tokens())});
  if (first >= most || theirs[first] != to.hashes[first]) return found;
  if (source.kv.entered > found) return found;  // what it has entered was not found: another's
  // Who scores its prompt goes at the pace of the logit budget: computing is faster than waiting.
  if (!fills_cache(from) || from.request.prompt_logprobs >= 0) return found;
  if (from.request.priority < to.request.priority) return found;
  size_t end = first;
  while (end < most && theirs[end] == to.hashes[end]) ++end;
  return static_cast<int32_t>(end);
}

// True: a running choice is computing more of its prefix than the cache has, so it has left the
// queue until that is there.
bool Scheduler::set_aside(Sequence& s, const PrefixMatch& found) {
  if (!reads_cache(*s.request) || !s.kv.empty()) return false;
  int32_t most = found.blocks;
  for (const Sequence* source : running_) {
    const int32_t blocks = blocks_to_come(*source, s, found.blocks);
    if (blocks <= most) continue;
    most = blocks;
    s.source = source;
  }
  if (most == found.blocks) return false;
  waiting_.erase(s);
  s.phase = Phase::pending;
  s.awaited = most;
  s.request->expected = std::min(most * kv_.block_tokens(), s.request->prompt_len());
  pending_.insert(s);
  return true;
}

void Scheduler::wake(Sequence& s) {
  pending_.erase(s);
  s.source = nullptr;
  s.phase = Phase::waiting;
  waiting_.insert(s);
}

// The source runs no more. The first of those that wait goes on with what it has left in the cache,
// and is the others' source.
void Scheduler::wake_followers_of(const Sequence& source) {
  for (size_t i = 0; i < pending_.size();) {
    Sequence& s = pending_[i];
    if (s.source == &source) {
      wake(s);
    } else {
      ++i;
    }
  }
}

void Scheduler::wake_served() {
  for (size_t i = 0; i < pending_.size();) {
    Sequence& s = pending_[i];
    if (s.source->kv.entered >= s.awaited) {
      wake(s);
    } else {
      ++i;
    }
  }
}

// What a step leaves.

// The step has come back, and with it all rows up to here: those in full blocks can be shared.
void Scheduler::enter_blocks(const LaunchedWork& work) {
  Sequence& s = *work.sequence;
  if (s.phase != Phase::running || !fills_cache(*s.request)) return;
  const int32_t full = (work.begin + work.count) / kv_.block_tokens();
  while (s.kv.entered < full) enter_block(s);
}

void Scheduler::enter_block(Sequence& s) {
  ActiveRequest& request = *s.request;
  const std::vector<int32_t>& prompt = request.request.prompt;
  const size_t tokens = static_cast<size_t>(kv_.block_tokens());
  const size_t begin = static_cast<size_t>(s.kv.entered) * tokens, end = begin + tokens;
  block_ids_.clear();
  for (size_t i = begin; i < end; ++i) {
    block_ids_.push_back(i < prompt.size() ? prompt[i] : s.output[i - prompt.size()]);
  }
  replaced_.clear();
  kv_.enter(s.kv, request.request.cache_root, block_ids_, replaced_);
  // Equal blocks that two requests computed become one; the slots hear of it with their next step.
  // Choices of one request share their prompt's blocks, so all of them change (K4).
  for (const Replaced& each : replaced_) {
    for (Sequence& other : request.choices) {
      if (&other != &s && !kv_.replace(other.kv, each)) continue;
      int32_t& told = other.told[static_cast<size_t>(each.group)];
      told = std::min(told, each.at);
    }
  }
}

}  // namespace bessemer
