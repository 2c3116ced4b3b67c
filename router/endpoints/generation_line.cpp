// Who waits for room in a worker, and whose limits are used up.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "router/endpoints/generation.h"
#include "router/endpoints/rate_headers.h"

namespace bessemer {
namespace {

int milliseconds_of(Duration wait) {
  return static_cast<int>(std::min<int64_t>(microseconds(wait) / 1000 + 1, INT32_MAX));
}

}  // namespace

// The answer says what is left, whatever becomes of the request. False: it has failed.
bool Generation::take_from_limits() {
  const Tenant& tenant = *call_.tenant;
  if (!tenant.is_limited()) return true;
  int64_t tokens = 0;
  for (const auto& prompt : prepared_->prompts) tokens += static_cast<int64_t>(prompt.ids.size());
  const RateVerdict verdict = call_.router.gate.take(tenant, tokens, now_steady());
  add_rate_headers(*call_.exchange, verdict.states);
  if (!verdict.wait) {
    taken_tokens_ = tokens;
    return true;
  }
  ApiError error =
      overloaded(verdict.by_tokens ? fmt::format("'{}' has used its {} tokens a minute.",
                                                 tenant.name, tenant.tokens_per_minute)
                                   : fmt::format("'{}' has sent its {} requests a minute.",
                                                 tenant.name, tenant.requests_per_minute),
                 milliseconds_of(*verdict.wait));
  if (verdict.by_tokens) error.type = "tokens";
  fail(error);
  return false;
}

Guest Generation::guest(const Run& run) const {
  Guest guest;
  guest.tenant = call_.tenant;
  guest.key = content_ + run.prompt;
  guest.tokens = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  guest.priority = prepared_->request.priority;
  guest.deadline = deadline_;
  return guest;
}

// What goes on elsewhere does not wait in line, nor does who had his turn.
bool Generation::may_pass(Run& run) {
  if (run.resuming || run.through) return true;
  run.through = true;
  return call_.router.gate.is_open(prepared_->request.model) || stand_in_line(run, false);
}

// `found_none`: no worker has room; else others wait. True: there is room after all, as far as is
// known. False: it waits for its turn, or has been refused.
bool Generation::stand_in_line(Run& run, bool found_none) {
  const std::string& model = prepared_->request.model;
  Gate& gate = call_.router.gate;
  if (run.ticket_in_line) {
    gate.put_back(model, *run.ticket_in_line);
    return false;
  }
  if (found_none) gate.found_none(model);
  const auto entry = gate.enter(
      model, guest(run),
      [weak = weak_from_this(), core = call_.core.core, &run] {
        core->post([weak, &run] {
          if (const auto self = weak.lock()) self->on_turn(run);
        });
      },
      now_steady());
  if (std::holds_alternative<GoThrough>(entry)) return true;
  if (const auto* ticket = std::get_if<TicketId>(&entry)) {
    run.ticket_in_line = *ticket;
    run.waits = shared_from_this();
    return false;
  }
  refuse(run, {RefusalKind::overloaded, "too many requests wait before this one",
               milliseconds_of(std::get<TurnedAway>(entry).retry_after)});
  return false;
}

void Generation::on_turn(Run& run) {
  if (!closed_ && run.ticket_in_line) place(run);
}

void Generation::note_placed(Run& run) {
  const auto kept = std::exchange(run.waits, nullptr);
  if (const auto ticket = std::exchange(run.ticket_in_line, std::nullopt))
    call_.router.gate.gone(prepared_->request.model, *ticket, now_steady());
}

void Generation::leave_line(Run& run) {
  run.through = false;
  const auto kept = std::exchange(run.waits, nullptr);
  if (const auto ticket = std::exchange(run.ticket_in_line, std::nullopt))
    call_.router.gate.leave(prepared_->request.model, *ticket, now_steady());
}

}  // namespace bessemer
