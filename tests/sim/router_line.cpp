// Who waits at the gate, as router/endpoints/generation_line.cpp has it.
#include <utility>
#include <variant>

#include "tests/sim/router.h"

namespace bessemer::sim {
namespace {

const std::string kModel = "model";

}  // namespace

// Who had his turn does not wait in line.
bool SimRouter::may_pass(Live& live) {
  if (!options_.admission || std::exchange(live.through, true)) return true;
  return gate_.is_open(kModel) || stand_in_line(live, false);
}

// `found_none`: no worker has room; else others wait. True: there is room after all, as far as is
// known. False: it waits for its turn, or has been refused.
bool SimRouter::stand_in_line(Live& live, bool found_none) {
  const uint64_t request = live.record.request;
  if (live.ticket_in_line) {
    gate_.put_back(kModel, *live.ticket_in_line);
    return false;
  }
  if (found_none) gate_.found_none(kModel);
  Guest guest;
  guest.tenant = tenant_;
  guest.key = live.question.content;
  guest.tokens = live.input.prompt_tokens;
  guest.deadline =
      TimePoint() + from_seconds(live.record.asked_s) + Duration(options_.request_timeout);
  const auto turn = [this, request] {
    timeline_.after(Duration::zero(), [this, request] { on_turn(request); });
  };
  const Entry entry = gate_.enter(kModel, guest, turn, timeline_.now());
  if (std::holds_alternative<GoThrough>(entry)) return true;
  if (const auto* ticket = std::get_if<TicketId>(&entry)) {
    live.ticket_in_line = *ticket;
    return false;
  }
  const Duration retry_after = std::get<TurnedAway>(entry).retry_after;
  live.record.retry_after_s = std::chrono::duration<double>(retry_after).count();
  end(request, Outcome::refused);
  return false;
}

void SimRouter::on_turn(uint64_t request) {
  const auto live = live_.find(request);
  if (live != live_.end() && live->second.ticket_in_line) place(request);
}

void SimRouter::note_placed(Live& live) {
  if (const auto ticket = std::exchange(live.ticket_in_line, std::nullopt))
    gate_.gone(kModel, *ticket, timeline_.now());
}

}  // namespace bessemer::sim
