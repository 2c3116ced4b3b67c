#include "bench/micro/report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "bench/common/result_file.h"
#include "bench/common/samples.h"
#include "common/json.h"

namespace bessemer::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 5;

double time_of(const Case& c, int64_t calls) {
  const auto begin = Clock::now();
  for (int64_t i = 0; i < calls; ++i) c.call();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

// Rounds of equal length, `seconds` together; the median keeps what other processes do out of the
// figure.
Measured measure(const Case& c, const Ceilings& ceilings, double seconds) {
  c.call();
  int64_t calls = 1;
  while (time_of(c, calls) < seconds / kRounds / 2) calls *= 2;
  std::vector<double> rounds;
  double read = 0, peak = 0;
  for (int i = 0; i < kRounds; ++i) {
    rounds.push_back(time_of(c, calls) / static_cast<double>(calls));
    if (c.cold) read = std::max(read, ceilings.read_gb_s());
    peak = std::max(peak, c.bound == Bound::int8 ? ceilings.int8_gop_s() : ceilings.f32_gflop_s());
  }
  const double call = median(rounds);
  const double memory_time = c.cold ? c.bytes / read / 1e9 : 0;
  const double arithmetic_time = peak > 0 ? c.operations / peak / 1e9 : 0;
  return {.name = c.name,
          .seconds = call,
          .gb_s = c.bytes / call / 1e9,
          .gop_s = c.operations / call / 1e9,
          .roofline = std::max(memory_time, arithmetic_time) / call,
          .ceiling = memory_time > arithmetic_time ? read : peak,
          .bound = memory_time > arithmetic_time ? "memory" : "arithmetic"};
}

void print_machine(const Machine& machine, const Ceilings& ceilings) {
  std::printf("%s\n%s, %d threads\n", describe(machine.host).c_str(), machine.isa.c_str(),
              machine.threads);
  std::printf("ceilings now: memory %.1f GB/s, int8 %.0f GOP/s, f32 %.0f GFLOP/s\n\n",
              ceilings.read_gb_s(), ceilings.int8_gop_s(), ceilings.f32_gflop_s());
  std::printf("%-40s %12s %9s %9s %10s\n", "kernel", "us a call", "GB/s", "GOP/s", "roofline");
}

void print_row(const Measured& row) {
  std::printf("%-40s %12.2f %9.2f %9.1f %8.0f %% of %s\n", row.name.c_str(), row.seconds * 1e6,
              row.gb_s, row.gop_s, row.roofline * 100, row.bound.c_str());
  std::fflush(stdout);
}

bool write_json(const std::string& path, const Machine& machine,
                const std::vector<Measured>& rows) {
  json::array cases;
  for (const Measured& row : rows) {
    cases.push_back({{"name", row.name},
                     {"seconds", row.seconds},
                     {"gb_s", row.gb_s},
                     {"gop_s", row.gop_s},
                     {"roofline", row.roofline},
                     {"ceiling", row.ceiling},
                     {"bound", row.bound}});
  }
  const json::object document = {{"host", to_json(machine.host)},
                                 {"isa", machine.isa},
                                 {"threads", machine.threads},
                                 {"cases", cases}};
  return write_json(path, document).ok();
}

}  // namespace bessemer::bench
