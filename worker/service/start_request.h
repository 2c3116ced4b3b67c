// A Start frame -> the engine's Request. Every field is honoured or refused by name. Pure.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "worker/engine/request.h"
#include "worker/service/facts.h"

namespace bessemer {

struct Refusal {
  v1::RejectReason reason{};
  std::string detail;
};

// What can be said before the whole input is there: features, card, task, announced totals,
// sampling parameters.
std::optional<Refusal> check_start(const v1::Start& start, const WorkerFacts& facts);

// `start` has passed check_start and carries all of its input. The request's id and deadline are
// left to the caller.
std::variant<Request, Refusal> to_request(const v1::Start& start, const WorkerFacts& facts);

// No choice gets as far as what lies beyond the engine's int32.
int32_t to_offset(uint32_t offset);

// Per choice the offset of the first token to come. `start` has passed check_start.
std::vector<int32_t> first_offsets(const v1::Start& start);

// Prompt tokens that `start` announces or carries.
int64_t prompt_tokens(const v1::Start& start);
// Beyond which it is to be refused; 0: never for its time.
int64_t max_ttft_us(const v1::Start& start);

}  // namespace bessemer
