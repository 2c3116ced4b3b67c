// Which tokens a mock worker writes. Hashed output verifies itself: every token follows from the
// seed, the choice, its position and the hash of all that stands before it, so whoever knows the
// prompt knows every right token, and one that is lost, repeated or wrong anywhere makes all that
// follow it wrong.
//
// Invariants
//   W1  The same prompt, sampling and choice give the same answer, however often it is broken off
//       and resumed in between (mock_answer says which).
//   W2  The ids that end a choice (stop ids; the end of turn, unless ignored) are not drawn before
//       min_tokens, counted from the prompt's end. A penalised choice draws no id twice, counted
//       from there too, while there are others. So a resume that takes delivered tokens for prompt
//       gives another answer.
#pragma once
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bench/mock_worker/mock_model.h"
#include "bessemer/v1/engine.pb.h"

namespace bessemer {

// What decides the tokens of a request.
struct MockSampling {
  uint64_t seed = 0;
  uint32_t choices = 1, max_tokens = 0, min_tokens = 0;
  bool ignore_eos = false;
  bool penalised = false;  // by any of the three penalties
  std::vector<uint32_t> stop_ids;

  static MockSampling of(const v1::Generate& generate);
};

// One choice: what stands so far, and what comes next.
class MockWriter {
 public:
  // `model` outlives the writer.
  MockWriter(const MockModel& model, std::shared_ptr<const MockSampling> sampling, uint32_t choice,
             std::span<const uint32_t> prompt);

  // What is drawn now; `now_us` matters to timed output alone.
  uint32_t next(int64_t now_us) const;
  void append(uint32_t id);
  // An id that ends the choice instead of being written.
  bool ends_with(uint32_t id) const;
  bool is_full() const { return length_ >= sampling_->max_tokens; }
  uint32_t length() const { return length_; }  // output tokens

 private:
  bool is_stop(uint32_t id) const;
  uint32_t draw() const;

  const MockModel* model_;
  std::shared_ptr<const MockSampling> sampling_;
  uint32_t choice_ = 0, length_ = 0;
  uint64_t history_ = 0;                      // hash of the prompt and the output
  std::bitset<MockModel::kNumbers> written_;  // by the output
};

// The whole answer of a choice that nothing disturbs; not for timed output.
struct MockAnswer {
  std::vector<uint32_t> ids;
  v1::EndReason reason = v1::END_LENGTH;
  std::optional<uint32_t> stop_id;
};
MockAnswer mock_answer(const MockModel& model, const MockSampling& sampling, uint32_t choice,
                       std::span<const uint32_t> prompt);

}  // namespace bessemer
