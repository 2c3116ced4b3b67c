#include "bench/mock_worker/mock_writer.h"

#include <algorithm>
#include <utility>

#include "common/random.h"

namespace bessemer {
namespace {

constexpr uint64_t kBeforeFirst = 0x6a09e667f3bcc908;  // the history of nothing

// Neither commutes nor cancels: the order of what is mixed in matters.
uint64_t mixed(uint64_t hash, uint64_t value) {
  return Random(hash ^ (value * 0x9e3779b97f4a7c15)).next();
}

}  // namespace

MockSampling MockSampling::of(const v1::Generate& generate) {
  MockSampling sampling;
  sampling.seed = generate.seed();
  sampling.choices = std::max(generate.n(), 1u);
  sampling.max_tokens = generate.max_tokens();
  sampling.min_tokens = generate.min_tokens();
  sampling.ignore_eos = generate.ignore_eos();
  sampling.penalised = generate.frequency_penalty() != 0 || generate.presence_penalty() != 0 ||
                       (generate.has_repetition_penalty() && generate.repetition_penalty() != 1);
  sampling.stop_ids.assign(generate.stop_ids().begin(), generate.stop_ids().end());
  return sampling;
}

MockWriter::MockWriter(const MockModel& model, std::shared_ptr<const MockSampling> sampling,
                       uint32_t choice, std::span<const uint32_t> prompt)
    : model_(&model), sampling_(std::move(sampling)), choice_(choice), history_(kBeforeFirst) {
  for (const uint32_t id : prompt) history_ = mixed(history_, id);
}

bool MockWriter::is_stop(uint32_t id) const {
  return std::ranges::find(sampling_->stop_ids, id) != sampling_->stop_ids.end();
}

bool MockWriter::ends_with(uint32_t id) const {
  const bool eos = id == MockModel::kEnd || id == MockModel::kTurnEnd;
  return is_stop(id) || (eos && !sampling_->ignore_eos);
}

uint32_t MockWriter::next(int64_t now_us) const {
  switch (model_->output) {
    case MockOutput::timed:
      return static_cast<uint32_t>(MockModel::kFirstNumber + now_us % kTimedWindowUs);
    case MockOutput::script:
      if (length_ >= model_->script.size()) return MockModel::kEnd;
      return MockModel::kFirstByte + static_cast<unsigned char>(model_->script[length_]);
    case MockOutput::hashed:
      break;
  }
  return draw();
}

uint32_t MockWriter::draw() const {
  constexpr uint64_t kNumbers = MockModel::kNumbers;
  const uint64_t hash =
      mixed(mixed(history_, sampling_->seed), (uint64_t{choice_} << 32) | length_);
  const bool may_end = length_ >= sampling_->min_tokens;
  if (may_end && !sampling_->ignore_eos && model_->end_every != 0 &&
      (hash >> 32) % model_->end_every == 0) {
    return MockModel::kTurnEnd;
  }
  for (uint64_t i = 0; i < kNumbers; i++) {
    const uint64_t number = (hash % kNumbers + i) % kNumbers;
    const auto id = static_cast<uint32_t>(MockModel::kFirstNumber + number);
    if (sampling_->penalised && written_.test(number)) continue;
    if (!may_end && is_stop(id)) continue;
    return id;
  }
  return static_cast<uint32_t>(MockModel::kFirstNumber + hash % kNumbers);
}

void MockWriter::append(uint32_t id) {
  history_ = mixed(history_, id);
  length_++;
  const auto number = static_cast<int64_t>(id) - MockModel::kFirstNumber;
  if (number >= 0 && number < MockModel::kNumbers) written_.set(static_cast<size_t>(number));
}

MockAnswer mock_answer(const MockModel& model, const MockSampling& sampling, uint32_t choice,
                       std::span<const uint32_t> prompt) {
  MockWriter writer(model, std::make_shared<MockSampling>(sampling), choice, prompt);
  MockAnswer answer;
  while (!writer.is_full()) {
    const uint32_t id = writer.next(0);
    if (writer.ends_with(id)) {
      answer.reason = v1::END_STOP;
      answer.stop_id = id;
      break;
    }
    answer.ids.push_back(id);
    writer.append(id);
  }
  return answer;
}

}  // namespace bessemer
