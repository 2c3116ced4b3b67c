// What goes out to the client.
#include <algorithm>

#include "router/endpoints/generation.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

// Tokens that may merge for a client that lags; beyond it they become frames, and those are bounded
// by the connection.
constexpr int32_t kMaxHeldTokens = 4096;
// Tokens of a choice that a worker may be ahead of the client, where it heeds credit: seconds of a
// fast stream, so that a client which keeps up never waits for credit, and well below
// kMaxHeldTokens, so that one which does not keeps up costs no frames.
constexpr int64_t kCreditWindow = 1024;

}  // namespace

// A worker has taken every prompt that is in flight.
bool Generation::all_admitted() const {
  return std::all_of(runs_.begin(), runs_.end(),
                     [](const auto& run) { return run->admitted || !run->in_flight; });
}

// Whether the answer says how it was placed.
bool Generation::explains() const {
  return call_.core.settings.decision_headers && call_.tenant->admin &&
         call_.exchange->request().header(kDecisionHeader) != nullptr;
}

void Generation::begin_stream() {
  streaming_ = true;
  StreamHead head = dialect_.stream_head();
  if (explains()) head.headers.emplace_back(kDecisionHeader, decisions());
  call_.exchange->begin_stream(std::move(head));
  call_.exchange->write(answer_->begin());
}

// Hands what has come to the answer, as far as the client keeps up (G4).
void Generation::pump() {
  if (closed_ || !prepared_ || !prepared_->request.stream) return;
  // Before the head: it waits here to leave with the first text, not because the client lags.
  const bool writable = call_.exchange->writable();
  if (!streaming_) {
    if (!all_admitted()) return;
    begin_stream();
  }
  for (auto& run : runs_) {
    if (!run->admitted) continue;  // an echo alone must not count as delivered (G3)
    for (auto& choice : run->choices) {
      if (writable || choice.held_tokens() > kMaxHeldTokens) pump_choice(*run, choice);
    }
    if (writable) give_credit(*run);
  }
  call_.exchange->flush();
}

// 0: no limit. Of the choice that is furthest ahead: one that its worker begins later must not hold
// up the others.
uint32_t Generation::send_until(const Run& run, uint64_t features) const {
  if (!prepared_->request.stream || (features & feature_bit(Feature::credit)) == 0) return 0;
  int64_t most = 0;
  for (const auto& choice : run.choices) most = std::max(most, choice.generated());
  return static_cast<uint32_t>(most + kCreditWindow);
}

// While the client keeps up; in steps of half a window: a frame for every 512 tokens.
void Generation::give_credit(Run& run) {
  if (run.credit == 0 || run.serial == 0) return;
  const uint32_t until = send_until(run, run.features);
  if (until < run.credit + kCreditWindow / 2) return;
  run.credit = until;
  call_.router.fleet->credit(run.worker, key_of(run.serial), until);
}

void Generation::pump_choice(Run& run, ChoiceStream& choice) {
  if (const auto delta = choice.take()) {
    run.delivered = true;
    call_.exchange->write(answer_->text(*delta));
  }
  if (!choice.finished()) return;
  const auto index = static_cast<size_t>(choice.finish().choice);
  if (finish_sent_[index]) return;
  finish_sent_[index] = true;
  run.delivered = true;
  call_.exchange->write(answer_->finish(choice.finish()));
}

void Generation::finish() {
  for (auto& run : runs_) {
    for (auto& choice : run->choices) {
      if (!choice.finished())
        return fail(server_error("The worker ended the request without ending every choice."));
    }
  }
  const UsageReport total = usage();
  call_.core.stats.cached_tokens.add(static_cast<uint64_t>(total.cached_tokens));
  for (auto& run : runs_) {
    for (auto& choice : run->choices) pump_choice(*run, choice);
  }
  const std::string last = answer_->end(total);
  if (streaming_) {
    call_.exchange->write(last);
    call_.exchange->end({});
    return close(200);
  }
  HttpResponse response;
  response.body = last;
  if (explains()) response.headers.emplace_back(kDecisionHeader, decisions());
  call_.exchange->respond(std::move(response));
  close(200);
}

}  // namespace bessemer
