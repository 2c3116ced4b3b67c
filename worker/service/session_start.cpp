// SessionCore: an attempt from its Start until its input is complete and it is the engine's.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "worker/service/session_core.h"

namespace bessemer {
namespace {

// What an attempt holds in memory until its input is complete: its parameters, and all ids that it
// announces.
int64_t bytes_of(const v1::Start& start) {
  const int64_t to_come = prompt_tokens(start) - start.input().ids_size();
  return static_cast<int64_t>(start.SpaceUsedLong()) + to_come * int64_t{sizeof(uint32_t)};
}

}  // namespace

void SessionCore::on_start(const v1::Start& start, TimePoint now) {
  const uint64_t handle = start.attempt();
  if (handle <= last_handle_) {
    if (fence_.knows(start.request_id(), start.epoch()))
      return;  // idempotent: the first one is answered or running
    return close(absl::InvalidArgumentError(
        fmt::format("handle {} does not rise: {} was used", handle, last_handle_)));
  }
  last_handle_ = handle;
  grant_.bring(static_cast<uint64_t>(prompt_tokens(start)));
  Attempt attempt;
  attempt.id = host_.new_attempt();
  if (auto refusal = admit(start, attempt)) return reject(handle, *refusal, now);
  attempt.request_id = start.request_id();
  attempt.epoch = start.epoch();
  attempt.choices = static_cast<int32_t>(std::max<uint32_t>(start.generate().n(), 1));
  attempt.assembling = start;
  attempt.assembling_bytes = bytes_of(start);
  assembling_bytes_ += attempt.assembling_bytes;
  if (const uint32_t left = start.admission().remaining_ms(); left != 0)
    attempt.deadline = now + std::chrono::milliseconds(left);
  handles_.emplace(static_cast<uint64_t>(attempt.id), handle);
  const auto at = attempts_.emplace(handle, std::move(attempt)).first;
  if (!start.chunked()) submit(at, now);
}

// Nothing here depends on input that is still to come, so that a refusal is early.
std::optional<Refusal> SessionCore::admit(const v1::Start& start, Attempt& attempt) {
  if (host_.draining()) return Refusal{v1::REJECT_DRAINING, "this worker is draining"};
  if (auto refusal = check_start(start, facts_)) return refusal;
  if (auto refusal = check_capacity(start)) return refusal;
  // Even if all of its prompt were in the cache. How much of it is, the engine will say.
  const EngineStats stats = host_.stats();
  const int64_t estimate = prefill_us(stats, stats.backlog_tokens);
  if (const int64_t most = max_ttft_us(start); most != 0 && estimate > most) {
    return Refusal{v1::REJECT_TOO_SLOW,
                   fmt::format("the backlog alone takes {} us, more than the {} us asked for",
                               estimate, most)};
  }
  return claim(start, attempt.id);
}

// Last, so that a refusal for want of room leaves the epoch free to come back.
std::optional<Refusal> SessionCore::claim(const v1::Start& start, AttemptId id) {
  const EpochFence::Claim claim = fence_.claim(start.request_id(), start.epoch(), id);
  if (claim.verdict != EpochFence::Verdict::fresh) {
    return Refusal{v1::REJECT_STALE_EPOCH,
                   fmt::format("epoch {} of this request, or a later one, was started here before",
                               start.epoch())};
  }
  if (claim.replaced) host_.cancel(*claim.replaced, {});
  return std::nullopt;
}

std::optional<Refusal> SessionCore::check_capacity(const v1::Start& start) const {
  if (attempts_.size() >= static_cast<size_t>(limits_.max_attempts)) {
    return Refusal{v1::REJECT_QUEUE_FULL,
                   fmt::format("{} attempts are alive on this lane", attempts_.size())};
  }
  if (start.chunked() && assembling_bytes_ + bytes_of(start) > limits_.max_assembling_bytes) {
    return arriving_inputs_full();
  }
  return std::nullopt;
}

Refusal SessionCore::arriving_inputs_full() const {
  return {v1::REJECT_QUEUE_FULL,
          fmt::format("inputs of {} bytes are still arriving on this lane", assembling_bytes_)};
}

void SessionCore::on_chunk(const v1::Chunk& chunk, TimePoint now) {
  const auto at = attempts_.find(chunk.attempt());
  if (at == attempts_.end()) {
    if (chunk.attempt() <= last_handle_)
      return;  // was refused or cancelled while this was on its way
    return close(absl::InvalidArgumentError(
        fmt::format("Chunk for attempt {}, which was not started", chunk.attempt())));
  }
  if (!at->second.assembling) {
    return close(absl::InvalidArgumentError(
        fmt::format("Chunk for attempt {}, whose input is complete", chunk.attempt())));
  }
  if (auto refusal = append_chunk(chunk, at->second)) return reject(at, *refusal, now);
  if (chunk.last()) submit(at, now);
}

std::optional<Refusal> SessionCore::append_chunk(const v1::Chunk& chunk, Attempt& attempt) {
  if (chunk.seq() != attempt.next_seq) {
    return Refusal{v1::REJECT_BAD_INPUT,
                   fmt::format("Chunk {} came where {} was due", chunk.seq(), attempt.next_seq)};
  }
  if (!chunk.data().empty())
    return Refusal{v1::REJECT_UNSUPPORTED, "chunk.data is not supported by this worker"};
  ++attempt.next_seq;
  v1::Input& input = *attempt.assembling->mutable_input();
  if (chunk.part() != 0) {
    if (auto refusal = append_delivered(chunk, attempt)) return refusal;
  } else {
    input.mutable_ids()->MergeFrom(chunk.ids());
  }
  const uint32_t have = static_cast<uint32_t>(input.ids_size()), total = input.total_ids();
  if (have <= total && (have == total || !chunk.last())) return std::nullopt;
  return Refusal{v1::REJECT_BAD_INPUT,
                 fmt::format("input.total_ids is {} but {} ids came", total, have)};
}

// What a choice has delivered is not announced, so each chunk of it is counted as it comes.
std::optional<Refusal> SessionCore::append_delivered(const v1::Chunk& chunk, Attempt& attempt) {
  v1::Resume& resume = *attempt.assembling->mutable_resume();
  if (chunk.part() > static_cast<uint32_t>(resume.choices_size())) {
    return Refusal{v1::REJECT_BAD_INPUT,
                   fmt::format("Chunk for part {}, of {} choices that are resumed", chunk.part(),
                               resume.choices_size())};
  }
  auto& ids = *resume.mutable_choices(static_cast<int>(chunk.part()) - 1)->mutable_ids();
  if (int64_t{ids.size()} + chunk.ids_size() > facts_.max_len) {
    return Refusal{v1::REJECT_TOO_LARGE,
                   fmt::format("choice {} has delivered more than the {} tokens of a sequence",
                               chunk.part() - 1, facts_.max_len)};
  }
  const int64_t bytes = int64_t{chunk.ids_size()} * int64_t{sizeof(uint32_t)};
  if (assembling_bytes_ + bytes > limits_.max_assembling_bytes) return arriving_inputs_full();
  assembling_bytes_ += bytes;
  attempt.assembling_bytes += bytes;
  ids.MergeFrom(chunk.ids());
  return std::nullopt;
}

// The input is complete: from here on the attempt is the engine's.
void SessionCore::submit(Attempts::iterator at, TimePoint now) {
  Attempt& attempt = at->second;
  auto result = to_request(*attempt.assembling, facts_);
  attempt.tail = ReplayTail(first_offsets(*attempt.assembling), attaches_);
  finish_assembly(at);
  if (const auto* refusal = std::get_if<Refusal>(&result)) return reject(at, *refusal, now);
  if (!fence_.holds(attempt.request_id, attempt.id)) {
    return reject(at,
                  {v1::REJECT_STALE_EPOCH,
                   "a later epoch of this request was started while its input arrived"},
                  now);
  }
  Request& request = std::get<Request>(result);
  request.id = attempt.id;
  request.deadline = attempt.deadline;
  if (!host_.submit(std::move(request))) {
    return reject(at, {v1::REJECT_QUEUE_FULL, "the engine's mailbox is full"}, now);
  }
  if (attempt.cancelled.empty()) return;
  host_.cancel(attempt.id,
               std::vector<int32_t>(attempt.cancelled.begin(), attempt.cancelled.end()));
}

void SessionCore::finish_assembly(Attempts::iterator at) {
  assembling_bytes_ -= std::exchange(at->second.assembling_bytes, 0);
  at->second.assembling.reset();
}

// Cancelled before its input was complete: it ends as one that the engine cancels before its next
// token.
void SessionCore::end_unstarted(Attempts::iterator at, TimePoint now) {
  Attempt& attempt = at->second;
  const v1::Resume& resume = attempt.assembling->resume();
  attempt.tail = ReplayTail(first_offsets(*attempt.assembling), false);
  Done done;
  for (int32_t choice = 0; choice < attempt.choices; ++choice) {
    const int32_t delivered = attempt.tail.next(static_cast<size_t>(choice));
    done.usage.generated.push_back(delivered);
    const bool had_ended =
        choice < resume.choices_size() && resume.choices(choice).end() != v1::END_UNSPECIFIED;
    if (!had_ended)
      say(at, {attempt.id, ChoiceEnd{choice, EndReason::cancelled, -1, delivered}}, now);
  }
  say(at, {attempt.id, std::move(done)}, now);
  drop(at);
}

// The engine ends what it knows; an input that stalls must not hold its place for ever.
void SessionCore::expire_assemblies(TimePoint now) {
  if (assembling_bytes_ == 0) return;
  for (auto next = attempts_.begin(); next != attempts_.end();) {
    const auto at = next++;
    if (!at->second.assembling || now < at->second.deadline) continue;
    reject(at, {v1::REJECT_TOO_SLOW, "the deadline passed before the input was complete"}, now);
  }
}

}  // namespace bessemer
