// bench_micro: each kernel of the CPU backend, its bandwidth, its rate, its share of what the
// machine can do.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "bench/micro/report.h"
#include "kernels/cpu/kernels.h"
#include "worker/backend/cpu/cpu_count.h"
#include "worker/backend/registry.h"

int main(int argc, char** argv) {
  using namespace bessemer;
  CLI::App app("Measures the kernels of the CPU backend against the machine's ceilings.");
  BackendOptions options;
  std::string filter, json_path;
  double seconds = 0.5;
  app.add_option("--isa", options.isa, "scalar, avx2, avx512 or amx; default: the best there is");
  app.add_option("--threads", options.threads, "default: all that this process may use");
  app.add_option("--filter", filter, "only cases whose name contains this");
  app.add_option("--seconds", seconds, "for each case")->check(CLI::PositiveNumber);
  app.add_option("--json", json_path, "also write the results here");
  CLI11_PARSE(app, argc, argv);

  StatusOr<std::unique_ptr<Backend>> backend = make_backend("cpu", options);
  if (!backend.ok()) {
    std::fprintf(stderr, "%s\n", std::string(backend.status().message()).c_str());
    return 1;
  }
  const bench::Machine machine{
      .host = bench::this_host(),
      .isa = options.isa.empty() ? kernels::best_kernels().name : options.isa,
      .threads = options.threads > 0 ? options.threads : cpu::usable_processors()};
  const bench::Ceilings ceilings(machine.isa, machine.threads);
  bench::print_machine(machine, ceilings);
  std::vector<bench::Measured> rows;
  for (const bench::CaseSource& source : bench::all_cases()) {
    if (source.name.find(filter) == std::string::npos) continue;
    rows.push_back(bench::measure(source.make(**backend), ceilings, seconds));
    bench::print_row(rows.back());
  }
  if (!json_path.empty() && !bench::write_json(json_path, machine, rows)) {
    std::fprintf(stderr, "cannot write %s\n", json_path.c_str());
    return 1;
  }
  return 0;
}
