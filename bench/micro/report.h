// One line a case for people, one object a case for machines.
#pragma once
#include <string>
#include <vector>

#include "bench/common/host.h"
#include "bench/micro/cases.h"
#include "bench/micro/ceilings.h"

namespace bessemer::bench {

struct Measured {
  std::string name;
  double seconds = 0;  // of one call, median of the rounds
  double gb_s = 0, gop_s = 0;
  // The least time that memory (cold cases) or arithmetic would need, over the time taken.
  double roofline = 0;
  double ceiling = 0;  // GB/s or GOP/s of that time, the best sample beside the rounds
  std::string bound;   // which of the two: "memory" or "arithmetic"
};

Measured measure(const Case& c, const Ceilings& ceilings, double seconds);

struct Machine {
  Host host;
  std::string isa;
  int32_t threads = 0;
};
void print_machine(const Machine& machine, const Ceilings& ceilings);
void print_row(const Measured& row);
// False: the file cannot be written.
bool write_json(const std::string& path, const Machine& machine, const std::vector<Measured>& rows);

}  // namespace bessemer::bench
