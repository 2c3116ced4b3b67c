#include "router/routing/resume_pacer.h"

#include <algorithm>

namespace bessemer {

void ResumePacer::leave(Ticket ticket) {
  if (const auto going = going_.find(ticket); going != going_.end()) {
    tokens_ -= going->second;
    going_.erase(going);
    return;
  }
  std::erase_if(waiting_, [&](const auto& one) { return one.second == ticket; });
}

std::vector<ResumePacer::Ticket> ResumePacer::release(int64_t budget) {
  std::vector<Ticket> released;
  while (!waiting_.empty()) {
    const auto [tokens, ticket] = *waiting_.begin();
    if (!going_.empty() && tokens_ + tokens > budget) break;
    tokens_ += tokens;
    going_.emplace(ticket, tokens);
    released.push_back(ticket);
    waiting_.erase(waiting_.begin());
  }
  return released;
}

}  // namespace bessemer
