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
  if (tokens_ > kFirstTokens) return;
  tokens_ += tokens;
  if (tokens_ <= kFirstTokens) return;
  in_a_row_ = crashes_ = 0;
  std::erase_if(strikes_, [&](const Strike& one) { return is_current(one); });
}

void LossRecord::lost(LossCause cause, TimePoint now) {
  in_a_row_++;
  Strike& here = strike();
  here.count++;
  here.last = now;
  if (cause != LossCause::crash || tokens_ > kFirstTokens) return;
  crashes_++;
  poison_ = alone_;
}

void LossRecord::refused_for_good() {
  strike().count = kClosed;
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
    if (one.count >= kClosed || now - one.last < second_chance_) return Standing::closed;
    return Standing::last_resort;
  }
  return Standing::open;
}

}  // namespace bessemer
