#include "bench/serve/arguments.h"

#include <chrono>

#include <fmt/format.h>

#include "common/json.h"

namespace bessemer::bench {
namespace {

constexpr uint64_t kSeedMask = (uint64_t{1} << 53) - 1;  // exact as a JSON number

void add_server_flags(CLI::App& app, Arguments& arguments) {
  auto* url = app.add_option("--url", arguments.a.url, "server A that runs: http://host:port");
  app.add_option("--exec", arguments.a.command,
                 "server A to be started and stopped: a shell command with {port} in it")
      ->excludes(url);
  auto* vs = app.add_option("--vs", arguments.b.url, "server B that runs: the same work, in turns");
  app.add_option("--vs-exec", arguments.b.command, "server B to be started and stopped")
      ->excludes(vs);
  app.add_option("--model", arguments.target.model,
                 "as the server names it; default: the first that it lists");
  app.add_option("--vs-model", arguments.b_model, "as server B names it");
  app.add_option("--api-key", arguments.target.api_key, "sent as Bearer token");
  app.add_flag("--chat", arguments.target.chat, "/v1/chat/completions instead of /v1/completions");
  app.add_flag("--obey-eos", arguments.obey_eos,
               "answers may end early; default: ignore_eos, so that all have the asked length");
  app.add_option("--extra", arguments.extra, "JSON object: further fields of every request");
}

void add_work_flags(CLI::App& app, Arguments& arguments) {
  WorkloadOptions& workload = arguments.options.workload;
  app.add_option(
         "--workload", arguments.workload,
         "fixed, shared-prefix, turns, trace, long-prompt (streams alone, and beside a long "
         "prompt), or start (time to the first token of a server started by --exec)")
      ->check(CLI::IsMember({"fixed", "shared-prefix", "turns", "trace", "long-prompt", "start"}));
  app.add_option("--requests", workload.requests, "conversations of a phase")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--input", workload.input_tokens, "tokens of a prompt; of what each turn adds")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--output", workload.output_tokens, "tokens of an answer")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--prefix", workload.prefix_tokens, "shared-prefix: tokens that all begin with")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--turns", workload.turns, "turns: of a conversation")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--long", workload.long_tokens, "long-prompt: tokens of that prompt")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--trace", arguments.trace_file, "Mooncake JSON lines or Azure CSV");
  app.add_option("--length-scale", arguments.scale.length, "of a trace's lengths")
      ->check(CLI::PositiveNumber);
  app.add_option("--max-input", arguments.scale.max_input, "longer prompts of a trace are cut");
  app.add_option("--max-output", arguments.scale.max_output, "longer answers of a trace are cut");
}

void add_load_flags(CLI::App& app, Arguments& arguments) {
  CampaignOptions& options = arguments.options;
  app.add_option("--arrivals", arguments.arrivals,
                 "closed (--concurrency at once), poisson (--rate), trace (--trace)")
      ->check(CLI::IsMember({"closed", "poisson", "trace"}));
  options.load.concurrency = 1;
  app.add_option("--concurrency", options.load.concurrency, "conversations at once")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--rate", options.workload.rate_per_s, "arrivals a second")
      ->check(CLI::PositiveNumber);
  app.add_option("--time-scale", arguments.scale.time,
                 "of a trace's gaps: 0.1 is ten times as fast")
      ->check(CLI::PositiveNumber);
  app.add_option("--max-in-flight", options.load.max_in_flight,
                 "of an open loop; arrivals beyond it count as failed")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--timeout-s", arguments.timeout_s, "of one whole answer")
      ->check(CLI::PositiveNumber);
  app.add_option("--start-timeout-s", arguments.start_timeout_s, "until a started server answers")
      ->check(CLI::PositiveNumber);
  app.add_option("--warm-up", options.warm_up, "requests before anything is measured")
      ->check(CLI::Range(0, 10'000));
  app.add_option("--busy", options.busy,
                 "processes that keep a core busy each, all the while: a machine that is shared")
      ->check(CLI::Range(0, 1000));
  app.add_option("--repeats", arguments.repeats, "default: 5 with --vs, else 1")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", arguments.seed,
                 "of prompts and arrivals; default: a random one, since a server that has seen a "
                 "seed answers it from its prefix cache");
}

void add_result_flags(CLI::App& app, Arguments& arguments) {
  app.add_option("--slo-ttft-ms", arguments.options.slo.ttft_ms,
                 "a good answer's first text comes within it")
      ->check(CLI::PositiveNumber);
  app.add_option("--slo-itl-ms", arguments.options.slo.itl_ms,
                 "a good answer's mean gap between texts is at most this")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", arguments.json_file, "also write the results here");
  app.add_option("--commit", arguments.commit, "commit to note there");
}

Duration as_duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

Status check(const Arguments& arguments) {
  if (arguments.a.url.empty() && arguments.a.command.empty())
    return absl::InvalidArgumentError("no server: give --url http://host:port or --exec COMMAND");
  const bool started = arguments.b.url.empty() && arguments.a.url.empty();
  if (arguments.workload == "start" && !started)
    return absl::InvalidArgumentError(
        "--workload start measures servers that it starts itself: give --exec (and --vs-exec)");
  return absl::OkStatus();
}

}  // namespace

void add_flags(CLI::App& app, Arguments& arguments) {
  add_server_flags(app, arguments);
  add_work_flags(app, arguments);
  add_load_flags(app, arguments);
  add_result_flags(app, arguments);
}

Status complete(Arguments& arguments) {
  RETURN_IF_ERROR(check(arguments));
  WorkloadOptions& workload = arguments.options.workload;
  if (arguments.workload == "shared-prefix") workload.kind = WorkloadKind::shared_prefix;
  if (arguments.workload == "turns") workload.kind = WorkloadKind::turns;
  if (arguments.workload == "trace") workload.kind = WorkloadKind::trace;
  if (arguments.workload == "long-prompt") workload.kind = WorkloadKind::long_prompt;
  if (arguments.arrivals == "poisson") workload.arrivals = ArrivalKind::poisson;
  if (arguments.arrivals == "trace") workload.arrivals = ArrivalKind::trace;
  arguments.options.load.timeout = as_duration(arguments.timeout_s);
  arguments.options.start_timeout = as_duration(arguments.start_timeout_s);
  arguments.options.repeats = arguments.repeats > 0 ? arguments.repeats : (arguments.two() ? 5 : 1);
  arguments.options.seed = arguments.seed.value_or(random_seed() & kSeedMask) & kSeedMask;
  if (!arguments.trace_file.empty()) {
    ASSIGN_OR_RETURN(Trace trace, read_trace(arguments.trace_file));
    workload.trace = scaled(std::move(trace), arguments.scale);
  }
  ASSIGN_OR_RETURN(const json::value extra, parse_json(arguments.extra));
  if (!extra.is_object()) return absl::InvalidArgumentError("--extra is no JSON object");
  arguments.target.extra = extra.get_object();
  arguments.target.ignore_eos = !arguments.obey_eos;
  arguments.a.target = arguments.b.target = arguments.target;
  arguments.b.target.model = arguments.b_model;
  return check_workload(workload);
}

std::string title(const Arguments& arguments) {
  const WorkloadOptions& work = arguments.options.workload;
  if (arguments.workload == "start") return "serve: process start to first token";
  std::string text = "serve: " + arguments.workload;
  if (work.kind == WorkloadKind::shared_prefix)
    text += fmt::format(", prefix of {}", work.prefix_tokens);
  if (work.kind == WorkloadKind::long_prompt)
    text += fmt::format(", prompt of {}", work.long_tokens);
  if (work.kind == WorkloadKind::turns) text += fmt::format(", {} turns", work.turns);
  if (work.kind == WorkloadKind::trace) {
    text += fmt::format(", lengths x {}", arguments.scale.length);
    if (arguments.scale.max_input > 0) text += fmt::format(", in <= {}", arguments.scale.max_input);
    if (arguments.scale.max_output > 0)
      text += fmt::format(", out <= {}", arguments.scale.max_output);
  } else {
    text += fmt::format(", {} in / {} out", work.input_tokens, work.output_tokens);
  }
  if (arguments.options.busy > 0)
    text += fmt::format(", {} busy processes beside", arguments.options.busy);
  text += fmt::format(", {} requests, ", work.requests);
  if (work.kind == WorkloadKind::long_prompt) return text + "all at once";
  switch (work.arrivals) {
    case ArrivalKind::closed:
      return text + fmt::format("{} at once", arguments.options.load.concurrency);
    case ArrivalKind::poisson:
      return text + fmt::format("Poisson {}/s", work.rate_per_s);
    case ArrivalKind::trace:
      return text + fmt::format("arrivals of the trace x {}", arguments.scale.time);
  }
  return text;
}

std::string command_line(int argc, char** argv) {
  constexpr std::string_view kSecret = "--api-key";
  std::string line;
  for (int i = 0; i < argc; ++i) {
    std::string word = argv[i];
    if (i > 0 && argv[i - 1] == kSecret) word = "***";
    if (word.starts_with(std::string(kSecret) + "=")) word = std::string(kSecret) + "=***";
    const bool quoted = word.find(' ') != std::string::npos;
    line += (i == 0 ? "" : " ") + (quoted ? "'" + word + "'" : word);
  }
  return line;
}

}  // namespace bessemer::bench
