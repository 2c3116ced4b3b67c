// What a mock worker pretends to serve: a vocabulary with a chat template, and the card of it.
#pragma once
#include <cstdint>
#include <string>

#include "bessemer/v1/cluster.pb.h"

namespace bessemer {

enum class MockOutput : uint8_t {
  hashed,  // follows from the request and all that was written before (mock_writer.h)
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
  // hashed: one token in so many is an end of turn; 0: none is.
  uint32_t end_every = 0;
  uint32_t max_model_len = 32'768;
  std::string numerics = "mock";  // of the card; what is written is the same

  v1::Vocabulary vocabulary() const;
  // Of `serialised` vocabulary bytes.
  v1::ModelCard card(const std::string& serialised) const;

  static constexpr int32_t kEnd = 0, kTurnStart = 1, kTurnEnd = 2, kFirstByte = 3,
                           kFirstNumber = 259;
  static constexpr int32_t kNumbers = 1000;  // ids that hashed output draws: "0," to "999,"
  static constexpr int32_t kBlockTokens = 16;
};

}  // namespace bessemer
