#include "router/endpoints/prompt_route.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace bessemer {

void PromptRoute::claim(std::shared_ptr<LoadSlot> load, const PlaceOn& place, RoutingStats& stats) {
  release();
  place_ = place;
  load_ = std::move(load);
  claimed_ = std::max<int64_t>(prompt_tokens_ - place.matched_tokens, 0);
  load_->unadmitted.fetch_add(claimed_, std::memory_order_relaxed);
  if (!chain_->empty()) {
    pledge_ = std::make_shared<KvPledge>();
    pledge_->worker = place.worker;
    pledge_->chain = chain_;
    if (!book_.pledge(pledge_)) pledge_.reset();
  }
  stats.decisions[static_cast<size_t>(place.choice.reason)].add();
}

// What is in front of the next one: what was in front of this one, and what this one lacks.
void PromptRoute::admitted(const v1::Admitted& admitted) {
  if (load_ == nullptr) return;
  const auto found = std::max<int64_t>(admitted.matched_tokens(), place_.matched_tokens);
  load_->said_backlog.store(static_cast<int64_t>(admitted.backlog_tokens()) +
                                std::max<int64_t>(prompt_tokens_ - found, 0),
                            std::memory_order_relaxed);
  unload();
}

void PromptRoute::computed() {
  if (pledge_ != nullptr) book_.release(std::exchange(pledge_, nullptr), true);
}

void PromptRoute::finished(int64_t cached_tokens, RoutingStats& stats) {
  computed();
  stats.predicted_tokens.add(static_cast<uint64_t>(place_.matched_tokens));
  stats.found_tokens.add(static_cast<uint64_t>(cached_tokens));
  const int64_t surplus = cached_tokens - place_.matched_tokens;
  Counter& wrong = surplus < 0 ? stats.missed_tokens : stats.unforeseen_tokens;
  wrong.add(static_cast<uint64_t>(std::abs(surplus)));
  stats.recomputed_tokens.add(static_cast<uint64_t>(std::max<int64_t>(best_ - cached_tokens, 0)));
}

void PromptRoute::release() {
  unload();
  if (pledge_ != nullptr) book_.release(std::exchange(pledge_, nullptr), false);
}

void PromptRoute::unload() {
  if (load_ == nullptr) return;
  load_->unadmitted.fetch_sub(claimed_, std::memory_order_relaxed);
  load_.reset();
}

std::string PromptRoute::explain(const std::string& worker_address) const {
  const Choice& choice = place_.choice;
  std::string text = fmt::format(
      "worker={} reason={} prompt_tokens={} matched_tokens={} best_matched_tokens={} bounces={}",
      worker_address, choice_reason_name(choice.reason), prompt_tokens_, place_.matched_tokens,
      best_, place_.bounces);
  if (choice.seconds > 0 || choice.ttft_seconds > 0)
    text += fmt::format(" cost_ms={:.1f} ttft_ms={:.1f}", choice.seconds * 1e3,
                        choice.ttft_seconds * 1e3);
  if (std::isfinite(choice.next_seconds) && choice.next_seconds > 0)
    text += fmt::format(" next_ms={:.1f}", choice.next_seconds * 1e3);
  return text;
}

}  // namespace bessemer
