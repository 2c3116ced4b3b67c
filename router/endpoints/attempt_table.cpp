#include "router/endpoints/attempt_table.h"

namespace bessemer {

void AttemptTable::dispatch(std::span<const CoreBatch> batches, TimePoint now) {
  for (const auto& batch : batches) {
    for (const auto& item : batch.items) dispatch(item, now);
  }
  for (const auto& sink : touched_) {
    sink->touched_ = false;
    sink->on_batch_end(now);
  }
  touched_.clear();
}

void AttemptTable::dispatch(const Delivery& item, TimePoint now) {
  const auto found = sinks_.find(item.serial);
  if (found == sinks_.end()) return;
  const auto sink = found->second;  // it may leave the table in here
  if (!sink->touched_) {
    sink->touched_ = true;
    touched_.push_back(sink);
  }
  if (const auto* row = std::get_if<TokenRow>(&item.what)) {
    sink->on_row(*row, now);
  } else if (const auto* event = std::get_if<const v1::Event*>(&item.what)) {
    sink->on_event(**event, now);
  } else if (const auto* drains = std::get_if<WorkerDrains>(&item.what)) {
    sink->on_drain(drains->grace);
  } else {
    sink->on_lost(std::get<AttemptLost>(item.what));
  }
}

}  // namespace bessemer
