// Attempts that go on behind what was delivered: on another lane (L7), or on their own (L8).
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "router/upstream/lane_protocol.h"

namespace bessemer {
namespace {

constexpr uint32_t kNothingMore = UINT32_MAX;  // of a choice, in Attach::next_offset

// Three answers to pings a second apart: two seconds at least.
constexpr int32_t kQuietWords = 3;
// Of a running attempt each step brings tokens, and one that comes is looked at before the next
// step: whoever takes longer to take these few is asked later.
constexpr uint64_t kQuietSteps = 4;

}  // namespace

bool LaneProtocol::can_attach() const {
  return hello_received_ && peer_.orphan_ms() != 0 && peer_offers(Feature::attach);
}

std::vector<LaneAttempt> LaneProtocol::suspend(const std::string& reason, Deliveries& out) {
  std::vector<LaneAttempt> orphans;
  if (can_attach()) {
    for (const Upload& upload : uploads_) attempts_.at(upload.attempt).sent = false;  // in part
    std::erase_if(attempts_, [&](auto& entry) {
      if (entry.second.sent) orphans.push_back(std::move(entry.second));
      return entry.second.sent;
    });
  }
  close(LossCause::lane, reason, out);
  return orphans;
}

void LaneProtocol::attach(std::vector<LaneAttempt> attempts) {
  CHECK(hello_received_);
  for (auto& attempt : attempts) {
    const uint64_t handle = ++last_handle_;
    write_attach(attempt, handle, urgent_.emplace_back());
    if (!attempt.cancelled.empty()) queue_cancel(handle, std::exchange(attempt.cancelled, {}));
    attempt.asked = false;
    attempt.former = 0;
    if (attempt.send_until != 0) credits_.insert(handle);  // the last one may have been lost
    CHECK(handles_.emplace(packed(attempt.key), handle).second);
    attempts_.emplace(handle, std::move(attempt));
  }
}

void LaneProtocol::write_attach(LaneAttempt& attempt, uint64_t handle, v1::RouterFrame& out) const {
  out.Clear();
  auto* attach = out.mutable_attach();
  attach->set_attempt(handle);
  attach->set_request_id(attempt.request_id);
  attach->set_epoch(attempt.epoch);
  for (const auto& choice : attempt.choices) {
    attach->add_next_offset(choice.ended || choice.cancelled ? kNothingMore : choice.next);
  }
  attempt.attached = true;
  attempt.ping = last_nonce_;
  attempt.idle_words = attempt.quiet_words = 0;
}

// A worker has answered a ping and said nothing of the attempt, of which it owes something.
bool LaneProtocol::is_overdue(LaneAttempt& attempt, uint64_t steps) {
  if (attempt.quiet_words++ == 0) attempt.quiet_steps = steps;
  return attempt.can_ask && attempt.quiet_words >= kQuietWords &&
         steps >= attempt.quiet_steps + kQuietSteps;
}

// Behind all that has a handle already: handles rise. What has ended or was heard of meanwhile is
// not asked for.
bool LaneProtocol::next_ask(v1::RouterFrame& out) {
  while (!asks_.empty()) {
    const uint64_t former = *asks_.begin();
    asks_.erase(asks_.begin());
    const auto found = attempts_.find(former);
    if (found == attempts_.end() || found->second.quiet_words == 0) continue;
    auto node = attempts_.extract(found);
    LaneAttempt& attempt = node.mapped();
    const uint64_t handle = ++last_handle_;
    write_attach(attempt, handle, out);
    attempt.asked = true;
    aliases_.erase(std::exchange(attempt.former, former));
    aliases_.emplace(former, handle);
    handles_.at(packed(attempt.key)) = handle;
    node.key() = handle;
    attempts_.insert(std::move(node));
    return true;
  }
  return false;
}

// Anything that comes of an attempt. Under its present handle it answers the Attach, if there was
// one, and nothing comes under the former any more.
LaneProtocol::Attempts::iterator LaneProtocol::heard_of(uint64_t handle) {
  const auto alias = aliases_.find(handle);
  const auto found = attempts_.find(alias == aliases_.end() ? handle : alias->second);
  if (found == attempts_.end()) return found;
  LaneAttempt& attempt = found->second;
  attempt.idle_words = attempt.quiet_words = 0;
  if (alias == aliases_.end()) aliases_.erase(std::exchange(attempt.former, 0));
  return found;
}

}  // namespace bessemer
