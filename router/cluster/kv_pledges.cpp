#include "router/cluster/kv_pledges.h"

namespace bessemer {

void KvPledges::pledge(KvPledge& pledge) {
  Worker& worker = workers_[pledge.worker];
  pledge.epoch = worker.epoch;
  for (const uint64_t hash : *pledge.chain) {
    const KvIndex::Stored stored = index_.store(pledge.worker, hash);
    if (stored == KvIndex::Stored::no_room) return;
    if (stored == KvIndex::Stored::present) worker.more[hash]++;
    pledge.stored++;
  }
}

void KvPledges::release(KvPledgePtr pledge, bool computed, TimePoint now) {
  if (!computed) return take_out(*pledge);
  over_.emplace_back(now + kPledgeAfter, std::move(pledge));
}

void KvPledges::expire(TimePoint now) {
  while (!over_.empty() && over_.front().first <= now) {
    take_out(*over_.front().second);
    over_.pop_front();
  }
}

void KvPledges::drop(uint32_t worker) {
  index_.drop(worker);
  Worker& known = workers_[worker];
  known.epoch++;
  known.more.clear();
}

// From its end, so that what is left is a beginning at any moment.
void KvPledges::take_out(const KvPledge& pledge) {
  Worker& worker = workers_[pledge.worker];
  if (pledge.epoch != worker.epoch) return;
  for (size_t i = pledge.stored; i-- > 0;) {
    const uint64_t hash = (*pledge.chain)[i];
    const auto more = worker.more.find(hash);
    if (more == worker.more.end()) {
      index_.remove(pledge.worker, hash);
    } else if (--more->second == 0) {
      worker.more.erase(more);
    }
  }
}

}  // namespace bessemer
