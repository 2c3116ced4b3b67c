// The events and rows of a mock's StepBatches.
#pragma once
#include <cstdint>

#include "bench/mock_worker/mock_attempt.h"

namespace bessemer {

// A plausible distribution: the chosen token at -0.5, each alternative a nat below the one before.
void fill_mock_logprobs(v1::Logprobs& out, uint32_t chosen, uint32_t alternatives);

void add_row(const MockAttempt& attempt, uint32_t choice, uint32_t offset, uint32_t id,
             v1::StepBatch& batch);
void add_prompt_scores(const MockAttempt& attempt, v1::StepBatch& batch);
void add_choice_end(const MockAttempt& attempt, uint32_t choice, v1::StepBatch& batch);
void add_done(const MockAttempt& attempt, v1::StepBatch& batch);
void add_failed(const MockAttempt& attempt, uint32_t code, const char* detail,
                v1::StepBatch& batch);

}  // namespace bessemer
