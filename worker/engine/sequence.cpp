#include "worker/engine/sequence.h"

#include <algorithm>

namespace bessemer {
namespace {

// Prompt rows [score_next, prompt_len - 1) still need their scores; the leader computes them.
bool has_rows_to_score(const Sequence& s) {
  const ActiveRequest& r = *s.request;
  return r.request.prompt_logprobs >= 0 && s.choice == r.leader &&
         r.score_next < r.prompt_len() - 1;
}

Chunk scored_chunk(const Sequence& s, int32_t rows, int32_t logit_rows) {
  const int32_t left = s.rows_left();
  const int32_t before = s.request->score_next - s.computed;  // recomputed, scored long ago
  if (before > 0) return {std::min({left, rows, before}), Want::nothing};
  const int32_t count = std::min({left, rows, logit_rows});
  return {count, count == left ? Want::score_and_sample : Want::score};
}

}  // namespace

int32_t Sequence::known() const {
  return request->prompt_len() + generated();
}

int32_t Sequence::length() const {
  return known() + drawing;
}

bool Sequence::is_full() const {
  return generated() >= request->request.max_tokens;
}

bool Sequence::has_credit() const {
  return generated() < request->send_until;
}

bool Sequence::may_draw() const {
  return generated() + drawing < std::min(request->request.max_tokens, request->send_until);
}

bool ActiveRequest::is_parked() const {
  bool any = false;
  for (const Sequence& s : choices) {
    if (s.phase == Phase::running || s.phase == Phase::waiting || s.phase == Phase::pending)
      return false;
    any = any || s.phase == Phase::parked;
  }
  return any;
}

bool goes_before(const Sequence& a, const Sequence& b) {
  const ActiveRequest &ra = *a.request, &rb = *b.request;
  if (ra.request.priority != rb.request.priority) return ra.request.priority > rb.request.priority;
  if (ra.order != rb.order) return ra.order < rb.order;
  return a.choice < b.choice;
}

int32_t Chunk::logit_rows() const {
  switch (want) {
    case Want::nothing:
      return 0;
    case Want::sample:
      return 1;
    case Want::score:
    case Want::score_and_sample:
      return count;
  }
  return 0;
}

Chunk next_chunk(const Sequence& s, int32_t rows, int32_t logit_rows, int32_t found) {
  if (has_rows_to_score(s)) return scored_chunk(s, rows, logit_rows);
  const int32_t left = s.rows_left() - found;
  const int32_t count = std::min(left, rows);
  if (count < left) return {count, Want::nothing};
  if (logit_rows < 1) return {count - 1, Want::nothing};
  return {count, Want::sample};
}

}  // namespace bessemer
