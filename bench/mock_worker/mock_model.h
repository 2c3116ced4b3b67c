// What the mock worker pretends to serve: a vocabulary with a chat template, and tokens that are a
// function of the request.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"

namespace bessemer {

enum class MockOutput : uint8_t {
  hashed,  // f(seed, choice, position, prompt): the same request gives the same text, any other one
           // another
  timed,   // the microsecond of emission, modulo kTimedWindowUs, in digits: a client can tell how
           // old a token is
  script,  // the bytes of a given text, one token each, then the end
};

// Latencies beyond this alias. 100 ms is well above any p99 worth having, and 100,000 tokens still
// load in a moment.
constexpr int32_t kTimedWindowUs = 100'000;

struct MockModel {
  std::string name = "mock";
  MockOutput output = MockOutput::hashed;
  std::string script;
  uint32_t max_model_len = 32'768;

  v1::Vocabulary vocabulary() const;
  // Of `serialised` vocabulary bytes.
  v1::ModelCard card(const std::string& serialised) const;

  static constexpr int32_t kEnd = 0, kTurnStart = 1, kTurnEnd = 2, kFirstByte = 3,
                           kFirstNumber = 259;
  // Output token of `position`; kEnd behind a script.
  int32_t token(uint64_t seed, uint32_t choice, uint32_t position, uint64_t prompt_hash,
                int64_t now_us) const;
  static uint64_t hash_prompt(std::span<const uint32_t> ids);
};

}  // namespace bessemer
