// A draining worker's streams move while they run: another worker is asked to go on behind what was
// delivered so far, and only when it has admitted that does the first one stop. What that one wrote
// meanwhile comes again and is compared, not repeated (G3).
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "router/endpoints/generation.h"

namespace bessemer {
namespace {

// Most streams end by themselves within a third of a drain's grace; to move those would cost a
// prefill each for nothing.
constexpr int kFinishInPlaceShare = 3;

}  // namespace

void Generation::on_drain(Run& run, Duration grace) {
  if (closed_ || run.serial == 0) return;
  call_.core.core->after(grace / kFinishInPlaceShare,
                         [self = shared_from_this(), &run, serial = run.serial] {
                           if (!self->closed_ && run.serial == serial) self->begin_move(run);
                         });
}

// What has no output yet finishes where it is, or begins anew when the worker ends it.
void Generation::begin_move(Run& run) {
  if (run.move != nullptr || run.journal->empty() || !run.journal->kept()) return;
  run.move = std::make_shared<Move>(shared_from_this(), run, *run.placement);
  const auto prompt = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  run.move->placement.move(prompt + run.journal->tokens(), now_steady());
  advance_move(run);
}

void Generation::advance_move(Run& run) {
  const std::shared_ptr<Move> move = run.move;
  while (run.move == move && move->serial == 0) {
    const auto step = decide(run, move->placement, true);
    run.placement->skip_epochs(move->placement);
    if (const auto* place = std::get_if<PlaceOn>(&step)) {
      start_move(run, *place);
    } else if (const auto* later = std::get_if<PlaceLater>(&step)) {
      call_.core.core->after(later->delay, [move, &run] {
        if (run.move == move) move->owner->advance_move(run);
      });
      return;
    } else {
      return end_move(run);  // it finishes in place, or resumes when the worker ends it
    }
  }
}

void Generation::start_move(Run& run, const PlaceOn& place) {
  Move& move = *run.move;
  const WorkerView& worker = call_.core.view->workers[place.worker];
  move.worker = place.worker;
  move.features = worker.features;
  move.load = worker.load;
  move.ended.clear();
  for (size_t i = 0; i < run.choices.size(); i++) move.ended.push_back(run.journal->ended(i));
  move.serial = call_.core.attempts.add(run.move);
  move.load->own.fetch_add(prepared_->request.n, std::memory_order_relaxed);
  move.recorded = record_attempt(run, place);
  v1::Start start = start_for(run, place, true);
  move.credit = start.send_until();
  if (!send(place, move.serial, move.recorded, std::move(start), move.placement)) retire_move(move);
}

void Generation::on_move_event(Move& move, const v1::Event& event) {
  Run& run = move.run;
  if (closed_ || run.move.get() != &move) return;
  switch (event.what_case()) {
    case v1::Event::kAdmitted:
      adopt_move(run);
      run.to_admit = true;
      return on_admitted(run, event.admitted());
    case v1::Event::kRejected:
      call_.record->problem(move.recorded, event.rejected().detail());
      call_.record->bounced();
      retire_move(move);
      move.placement.rejected(event.rejected().reason(), event.rejected().detail(),
                              event.rejected().retry_after_ms());
      return advance_move(run);
    case v1::Event::kFailed:
      call_.record->problem(move.recorded, event.failed().detail());
      return end_move(run);
    case v1::Event::kHandoff:
      return end_move(run);
    default:
      return;
  }
}

// The old attempt stops, the new one is the prompt's: the epoch of the old one is over.
void Generation::adopt_move(Run& run) {
  const std::shared_ptr<Move> move = std::exchange(run.move, nullptr);
  log().debug("{} moves from draining worker {} to {}", answer_id_, run.worker, move->worker);
  call_.router.fleet->cancel(run.worker, key_of(run.serial), {});
  retire(run);
  run.placement.emplace(move->placement);
  run.worker = move->worker;
  run.features = move->features;
  run.load = move->load;
  run.credit = move->credit;
  run.recorded = move->recorded;
  run.serial = std::exchange(move->serial, 0);
  call_.core.attempts.hand_over(run.serial, std::shared_ptr<AttemptSink>(move->owner, &run));
  run.resuming = true;
  run.resumes++;
  call_.record->resumed();
  run.gap_from = *std::max_element(run.last_row.begin(), run.last_row.end());
  call_.core.stats.resumes[static_cast<size_t>(LossCause::handoff)].add();
  std::vector<uint32_t> finished;  // since the new one was asked
  for (uint32_t i = 0; i < run.choices.size(); i++) {
    if (run.journal->ended(i) && !move->ended[i]) finished.push_back(i);
  }
  if (!finished.empty()) call_.router.fleet->cancel(run.worker, key_of(run.serial), finished);
}

void Generation::end_move(Run& run) {
  const std::shared_ptr<Move> move = std::exchange(run.move, nullptr);
  if (move == nullptr || move->serial == 0) return;
  call_.router.fleet->cancel(move->worker, key_of(move->serial), {});
  retire_move(*move);
}

void Generation::retire_move(Move& move) const {
  if (move.serial == 0) return;
  move.load->own.fetch_sub(prepared_->request.n, std::memory_order_relaxed);
  call_.core.attempts.remove(std::exchange(move.serial, 0));
  call_.record->end_attempt(move.recorded, now_steady());
}

AttemptKey Generation::key_of(uint64_t serial) const {
  return {static_cast<uint32_t>(call_.core.core->index()), serial};
}

}  // namespace bessemer
