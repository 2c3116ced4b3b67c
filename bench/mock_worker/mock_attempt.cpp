#include "bench/mock_worker/mock_attempt.h"

#include <algorithm>

#include <fmt/format.h>

namespace bessemer {
namespace {

Status resume_choice(const MockModel& model, const v1::Delivered& delivered, uint32_t number,
                     MockChoice& choice) {
  for (const uint32_t id : delivered.ids()) {
    const uint32_t right = choice.writer.next(0);
    if (model.output != MockOutput::timed && id != right) {
      return absl::InvalidArgumentError(
          fmt::format("the resume of choice {} says that token {} was {}; it is {}", number,
                      choice.writer.length(), id, right));
    }
    if (choice.writer.is_full()) {
      return absl::InvalidArgumentError(
          fmt::format("the resume of choice {} has more tokens than the request asks for", number));
    }
    choice.writer.append(id);
    choice.history.push_back(static_cast<int32_t>(id));
  }
  choice.reason = delivered.end();
  choice.open = delivered.end() == v1::END_UNSPECIFIED;
  return absl::OkStatus();
}

Status resume(const MockModel& model, const v1::Start& start, MockAttempt& attempt) {
  const auto& delivered = start.resume().choices();
  if (static_cast<size_t>(delivered.size()) != attempt.choices.size()) {
    return absl::InvalidArgumentError(fmt::format("the resume tells of {} choices of {}",
                                                  delivered.size(), attempt.choices.size()));
  }
  for (int i = 0; i < delivered.size(); i++) {
    RETURN_IF_ERROR(resume_choice(model, delivered[i], static_cast<uint32_t>(i),
                                  attempt.choices[static_cast<size_t>(i)]));
  }
  return absl::OkStatus();
}

}  // namespace

bool MockAttempt::finished() const {
  return std::ranges::none_of(choices, [](const MockChoice& one) { return one.open; });
}

const MockChoice* MockAttempt::leader() const {
  const auto found = std::ranges::find_if(choices, [](const MockChoice& one) { return one.open; });
  return found == choices.end() ? nullptr : &*found;
}

bool MockAttempt::may_place(const MockChoice& choice) const {
  return choice.open && !choice.placed && (&choice == leader() || leader()->writes());
}

bool MockAttempt::may_write(const MockChoice& choice) const {
  return choice.writes() && (send_until == 0 || choice.writer.length() < send_until);
}

std::span<const int32_t> MockAttempt::output(const MockChoice& choice) const {
  return std::span(choice.history).subspan(prompt_tokens);
}

StatusOr<MockAttempt> make_mock_attempt(const MockModel& model, const v1::Start& start,
                                        std::span<const uint32_t> ids) {
  const v1::Generate& generate = start.generate();
  MockAttempt attempt;
  attempt.handle = start.attempt();
  attempt.request_id = start.request_id();
  attempt.epoch = start.epoch();
  attempt.sampling = std::make_shared<MockSampling>(MockSampling::of(generate));
  attempt.prompt_tokens = static_cast<uint32_t>(ids.size());
  attempt.root = start.cache().root();
  attempt.stores = !start.cache().no_store();
  attempt.send_until = start.send_until();
  if (generate.has_logprobs()) attempt.logprobs = generate.logprobs();
  if (generate.has_prompt_logprobs()) attempt.prompt_logprobs = generate.prompt_logprobs();
  for (uint32_t i = 0; i < attempt.sampling->choices; i++) {
    MockChoice choice(MockWriter(model, attempt.sampling, i, ids));
    choice.history.assign(ids.begin(), ids.end());
    attempt.choices.push_back(std::move(choice));
  }
  if (start.has_resume()) RETURN_IF_ERROR(resume(model, start, attempt));
  return attempt;
}

}  // namespace bessemer
