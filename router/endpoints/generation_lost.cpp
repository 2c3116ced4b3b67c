// What is done when a worker gives no more of a prompt.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "router/endpoints/generation.h"
#include "router/endpoints/start_builder.h"

namespace bessemer {
namespace {

// Enough to keep workers busy until the next is let go, and little beside what they run.
constexpr double kResumeSeconds = 0.5;
constexpr int64_t kLeastResumeTokens = 2048;  // where no worker has measured itself yet

}  // namespace

void Generation::on_lost(Run& run, const AttemptLost& lost) {
  if (closed_) return;
  news_ = true;
  lose(run, lost.cause, *lost.reason);
}

// The attempt has ended without an answer: fenced off, since every later one has a higher epoch and
// what still comes of this one finds no attempt.
void Generation::lose(Run& run, LossCause cause, const std::string& reason) {
  log().warn("{} lost worker {} ({}): {}", answer_id_, run.worker, loss_cause_name(cause), reason);
  call_.record->problem(run.recorded, reason);
  retire(run);
  leave_pacer(run);
  end_move(run);
  run.placement->lost(cause, reason, now_steady());
  if (run.journal->complete()) return complete(run);  // nothing but the word of its end is missing
  const bool is_new = run.journal->empty();
  const bool resumes = !is_new && can_resume(run);
  if (!is_new && !resumes && run.delivered) {
    return fail(server_error("The worker was lost in the middle of the answer: " + reason + "."));
  }
  call_.core.stats.replaced.add();
  call_.record->resumed();
  resumes ? resume(run, cause) : restart(run);
}

// A worker that does is there, or will be: the one that was lost could, and may come back.
bool Generation::can_resume(const Run& run) const {
  if (!run.journal->kept()) return false;
  if ((run.features & feature_bit(Feature::resume)) != 0) return true;
  const auto& workers = call_.core.view->workers;
  return std::any_of(workers.begin(), workers.end(), [&](const WorkerView& worker) {
    return worker.state == WorkerState::ready &&
           (worker.features & feature_bit(Feature::resume)) != 0 &&
           worker.card->card_hash() == run.start.card_hash();
  });
}

void Generation::resume(Run& run, LossCause cause) {
  call_.core.stats.resumes[static_cast<size_t>(cause)].add();
  run.resumes++;
  run.resuming = true;
  run.admitted = true;  // as far as the client goes
  run.gap_from = *std::max_element(run.last_row.begin(), run.last_row.end());
  const auto prompt = static_cast<int64_t>(prepared_->prompts[run.prompt].ids.size());
  const int64_t tokens = prompt + run.journal->tokens();
  run.placement->resume(tokens, now_steady());
  run.ticket = call_.core.pacer.enter(tokens);
  call_.core.resumes.emplace(run.ticket, [self = shared_from_this(), &run] {
    if (!self->closed_) self->place(run);
  });
  release_resumes();
}

// What the fleet prefills in kResumeSeconds, this core's share of it.
int64_t Generation::resume_budget() const {
  double tokens_per_second = 0;
  for (const WorkerView& worker : call_.core.view->workers) {
    if (worker.state == WorkerState::ready)
      tokens_per_second += static_cast<double>(worker.load->reading.load().prefill_tok_s);
  }
  const auto cores = static_cast<double>(call_.router.cores.size());
  return std::max(kLeastResumeTokens,
                  static_cast<int64_t>(tokens_per_second * kResumeSeconds / cores));
}

void Generation::release_resumes() {
  CoreContext& core = call_.core;
  for (const ResumePacer::Ticket ticket : core.pacer.release(resume_budget())) {
    if (auto turn = core.resumes.extract(ticket)) core.core->post(std::move(turn.mapped()));
  }
}

void Generation::leave_pacer(Run& run) {
  if (run.ticket == 0) return;
  call_.core.resumes.erase(run.ticket);
  call_.core.pacer.leave(std::exchange(run.ticket, 0));
  release_resumes();
}

void Generation::restart(Run& run) {
  run.resuming = false;
  run.placement->restart();
  run.journal->clear();
  if (!run.delivered) reset_choices(run);  // else its echo was, and nothing else
  place(run);
}

}  // namespace bessemer
