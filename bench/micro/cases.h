// What is measured: calls of backend ops with the bytes they must move and the operations they must
// do.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "worker/backend/backend.h"

namespace bessemer::bench {

enum class Bound : uint8_t { int8, f32 };  // which peak its operations are held against

struct Case {
  std::string name;
  double bytes = 0;       // read and written at least once, from memory where `cold`
  double operations = 0;  // a multiply-add counts as two
  Bound bound = Bound::f32;
  bool cold = false;  // successive calls use different memory, more than any cache holds
  std::function<void()> call;
};

// A case is built when it is its turn and gone afterwards, so that memory stays bounded.
struct CaseSource {
  std::string name;
  std::function<Case(Backend&)> make;
};
std::vector<CaseSource> all_cases();

}  // namespace bessemer::bench
