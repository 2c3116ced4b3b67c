// The command line of bessemer_bench_serve.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "bench/serve/campaign.h"

namespace bessemer::bench {

struct Arguments {
  Candidate a{.label = "A", .url = "", .command = "", .target = {}};
  Candidate b{.label = "B", .url = "", .command = "", .target = {}};
  Target target;
  std::string b_model, extra = "{}";
  bool obey_eos = false;

  std::string workload = "fixed", arrivals = "closed", trace_file;
  TraceScale scale;
  CampaignOptions options;
  double timeout_s = 600, start_timeout_s = 120;
  int repeats = 0;
  std::optional<uint64_t> seed;

  std::string json_file, commit = "unknown", command;

  bool two() const { return !b.url.empty() || !b.command.empty(); }
};

// Declares every flag; `app.parse` fills `arguments`.
void add_flags(CLI::App& app, Arguments& arguments);
// What follows from the flags: checks them together, reads the trace, draws the seed. The error has
// the remedy.
Status complete(Arguments& arguments);

// What was asked, in one line.
std::string title(const Arguments& arguments);
// As it was typed, but for what nobody else should read.
std::string command_line(int argc, char** argv);

}  // namespace bessemer::bench
