// What a mock worker says of itself: settled when it comes to life.
#pragma once
#include <string>
#include <vector>

#include "bessemer/v1/cluster.pb.h"
#include "bessemer/v1/engine.pb.h"

namespace bessemer {

struct MockFacts {
  v1::Hello hello;
  v1::ModelCard card;
  std::string vocabulary;  // serialised

  bool offers(uint32_t feature) const;
  // A feature that `start` requires or uses and that this worker does not offer; 0: none.
  uint32_t missing_for(const v1::Start& start) const;
};

// The features whose fields `start` uses, whether it requires them or not. One that it uses and does
// not require would be accepted and ignored by a worker that is too old for it.
std::vector<uint32_t> features_used_by(const v1::Start& start);
uint32_t used_but_not_required(const v1::Start& start);  // one of them; 0: none

}  // namespace bessemer
