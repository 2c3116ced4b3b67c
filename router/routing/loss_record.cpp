#include "router/routing/loss_record.h"

#include <algorithm>

namespace bessemer {

void LossRecord::placed(uint32_t worker, uint64_t incarnation, bool alone) {
  worker_ = worker;
  incarnation_ = incarnation;
  alone_ = alone;
  tokens_ = 0;
}

void LossRecord::progressed(int64_t tokens) {
  if (tokens_ > first_tokens_) return;
  tokens_ += tokens;
  if (tokens_ <= first_tokens_) return;
  in_a_row_ = crashes_ = 0;
  std::erase_if(strikes_, [&](const Strike& one) { return is_current(one); });
}

void LossRecord::lost(LossCause cause, TimePoint now) {
  in_a_row_++;
  Strike& here = strike();
  here.count++;
  here.last = now;
  if (cause != LossCause::crash || tokens_ > first_tokens_) return;
  crashes_++;
  poison_ = alone_;
}

void LossRecord::refused_for_good() {
  strike().for_good = true;
}

LossRecord::Strike& LossRecord::strike() {
  const auto found = std::find_if(strikes_.begin(), strikes_.end(),
                                  [&](const Strike& one) { return is_current(one); });
  if (found != strikes_.end()) return *found;
  return strikes_.emplace_back(Strike{worker_, incarnation_});
}

Standing LossRecord::standing(uint32_t worker, uint64_t incarnation, TimePoint now) const {
  for (const Strike& one : strikes_) {
    if (one.worker != worker || one.incarnation != incarnation) continue;
    const Duration kept_away = second_chance_ * (1 << std::clamp(one.count - 1, 0, kMostDoublings));
    const bool closed = one.for_good || now - one.last < kept_away;
    return closed ? Standing::closed : Standing::last_resort;
  }
  return Standing::open;
}

}  // namespace bessemer
