// bench_gpu: products, attention and decode steps of the CUDA backend, each with its share of what a copy on the same device
// moves in the same run.
//
//   bench_gpu [--filter "linear Q4_K"] [--json FILE --commit HASH]
#include <cstdio>
#include <fstream>

#include <CLI/CLI.hpp>

#include "bench/gpu/cases.h"
#include "common/json.h"
#include "worker/backend/registry.h"

namespace bessemer::bench {
namespace {

void print(const Figure& f, double copy) {
  std::printf("%-44s %10.1f us %8.0f GB/s %6.1f %% of copy %8.1f TFLOP/s\n", f.name.c_str(),
              f.seconds * 1e6, f.bytes / f.seconds / 1e9, 100 * f.bytes / f.seconds / copy,
              f.operations / f.seconds / 1e12);
}

json::object to_json(const Figure& f, double copy) {
  return {{"name", f.name},
          {"seconds", f.seconds},
          {"bytes", f.bytes},
          {"gb_s", f.bytes / f.seconds / 1e9},
          {"share_of_copy", f.bytes / f.seconds / copy},
          {"tflop_s", f.operations / f.seconds / 1e12}};
}

int run(const std::string& filter, const std::string& path, const std::string& commit) {
  StatusOr<std::unique_ptr<Backend>> backend = make_backend("cuda", {});
  if (!backend.ok()) {
    std::fprintf(stderr, "%s\n", std::string(backend.status().message()).c_str());
    return 1;
  }
  const double copy = copy_bandwidth();
  std::printf("%s, %s: a copy moves %.0f GB/s, read and written\n", device_name().c_str(),
              (*backend)->numerics().c_str(), copy / 1e9);
  json::array cases;
  for (const auto measure : {measure_decode, measure_attention, measure_products}) {
    for (const Figure& figure : measure(**backend, filter)) {
      print(figure, copy);
      cases.push_back(to_json(figure, copy));
    }
  }
  if (path.empty()) return 0;
  const json::object document = {{"device", device_name()},
                                 {"numerics", (*backend)->numerics()},
                                 {"commit", commit},
                                 {"copy_gb_s", copy / 1e9},
                                 {"cases", cases}};
  std::ofstream file(path);
  file << json::serialize(document) << "\n";
  if (file) return 0;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return 1;
}

}  // namespace
}  // namespace bessemer::bench

int main(int argc, char** argv) {
  CLI::App app("Measures the CUDA backend against the device's copy bandwidth.");
  std::string filter, path, commit = "unknown";
  app.add_option("--filter", filter, "only cases whose name contains this");
  app.add_option("--json", path, "also write the results here");
  app.add_option("--commit", commit, "noted in the results");
  CLI11_PARSE(app, argc, argv);
  return bessemer::bench::run(filter, path, commit);
}
