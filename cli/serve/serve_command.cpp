#include "cli/serve/serve_command.h"

#include <chrono>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/config/flags.h"
#include "cli/models/pull.h"
#include "cli/serve/supervisor.h"
#include "common/address.h"
#include "common/log.h"
#include "common/ports.h"
#include "worker/backend/cpu/cpu_count.h"
#include "worker/format/gguf.h"

namespace bessemer {
namespace {

constexpr int kMaxWorkers = 64;  // processes on one machine; beyond it they only share cores

template <typename Config>
std::vector<std::string> child_args(const char* command, Config config, LogConfig log) {
  std::vector<std::string> args = {command};
  config.ready_fd = 0;
  visit_fields(config, FlagWriter(args));
  visit_fields(log, FlagWriter(args));
  for (std::string& arg : args) {
    if (arg == "--ready-fd=0") arg = "--ready-fd";
  }
  const auto flag = std::find(args.begin(), args.end(), "--ready-fd");
  args.insert(flag + 1, "{ready_fd}");
  return args;
}

// Each worker's share of what is given for the machine as a whole.
StatusOr<std::vector<ChildSpec>> worker_specs(const ServeConfig& config, const ResolvedModel& model,
                                              std::vector<std::string>& addresses) {
  const std::vector<int> cpus = allowed_cpus();
  const int usable = cpu::usable_processors();  // fewer than cpus under a container's quota
  ASSIGN_OR_RETURN(const std::vector<int> ports,
                   free_ports(config.worker.host, config.workers, "--worker.host"));
  std::vector<ChildSpec> specs;
  for (int i = 0; i < config.workers; ++i) {
    WorkerConfig worker = config.worker;
    worker.model_path = model.path;
    if (worker.model_name.empty()) worker.model_name = model.name;
    if (!model.alias.empty()) worker.aliases.push_back(model.alias);
    worker.port = config.worker.port == 0 ? ports[static_cast<size_t>(i)] : config.worker.port + i;
    worker.kv_memory_fraction = config.worker.kv_memory_fraction / config.workers;
    ChildSpec spec;
    spec.name = "worker " + std::to_string(i);
    spec.cpus = cpu_share(cpus, i, config.workers);
    if (worker.threads == 0) worker.threads = thread_share(usable, i, config.workers);
    addresses.push_back(host_and_port(worker.host, worker.port));
    spec.args = worker_args(worker, config.log);
    spec.args.push_back("--log-name=" + spec.name);
    specs.push_back(std::move(spec));
  }
  if (config.workers > usable) {
    log().warn("{} workers share {} cores: more workers than cores make nothing faster",
               config.workers, usable);
  }
  return specs;
}

// "Every interface" is no address to go to.
std::string host_to_visit(const std::string& bound) {
  if (bound == "0.0.0.0") return "127.0.0.1";
  return bound == "::" ? "::1" : address_to_bind(bound);
}

// Without a template there is no chat, and who tries what is printed should get an answer.
bool can_chat(const std::string& model_path) {
  const auto file = GgufFile::open(model_path);
  return file.ok() && ((*file)->find("tokenizer.chat_template") != nullptr ||
                       (*file)->find("tokenizer.chat_template.default") != nullptr);
}

std::string example_curl(const std::string& url, const std::string& model, bool chat) {
  const char* const endpoint = chat ? "chat/completions" : "completions";
  const char* const question = chat ? R"("messages": [{"role": "user", "content": "Hello!"}])"
                                    : R"("prompt": "Once upon a time", "max_tokens": 50)";
  return fmt::format(
      "  curl {}/v1/{} -H 'Content-Type: application/json' \\\n"
      "    -d '{{\"model\": \"{}\", {}}}'\n",
      url, endpoint, model, question);
}

void announce(const RouterConfig& router, const std::string& model, bool chat,
              std::chrono::steady_clock::time_point start) {
  const std::string host = host_to_visit(router.host);
  const bool secure = !router.tls_cert.empty();
  const std::string url = (secure ? "https://" : "http://") + host_and_port(host, router.port);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "\nbessemer serves {0} at {1} (ready in {2:.1f} s; ctrl-C stops)\n\n"
      "  open {1}/ in a browser, or\n\n{3}\n"
      "  python: openai.OpenAI(base_url=\"{1}/v1\", api_key=\"none\")\n\n",
      model, url, seconds, example_curl(url, model, chat));
  std::fflush(stdout);
}

Status serve(ServeConfig& config, const Environment& environment, int& exit_code) {
  const auto start = std::chrono::steady_clock::now();
  if (!config.worker.model_path.empty())
    return absl::InvalidArgumentError("worker.model is decided by model (--model) here");
  ASSIGN_OR_RETURN(const ResolvedModel model, resolve_model(config.model, environment));
  config.worker.model_path = model.path;
  RETURN_IF_ERROR(check_host(config.router.host, "--host"));
  RETURN_IF_ERROR(check(config));
  std::vector<std::string> addresses;
  ASSIGN_OR_RETURN(const std::vector<ChildSpec> workers, worker_specs(config, model, addresses));
  config.router.workers = addresses;
  config.router.ready_workers = config.workers;
  if (config.router.cache_dir.empty()) config.router.cache_dir = environment.cache_dir;
  if (config.router.port == 0) {
    ASSIGN_OR_RETURN(const std::vector<int> ports, free_ports(config.router.host, 1, "--host"));
    config.router.port = ports.front();
  }
  ChildSpec router{.name = "router", .args = router_args(config.router, config.log), .cpus = {}};
  router.args.push_back("--log-name=router");
  SupervisorOptions options;
  options.stop_timeout_ms =
      std::max(config.router.drain_notice_ms + config.router.drain_ms, config.worker.drain_ms) +
      5'000;
  const std::string name = config.worker.model_name.empty() ? model.name : config.worker.model_name;
  options.on_ready = [&] { announce(config.router, name, can_chat(model.path), start); };
  exit_code = supervise(router, workers, options);
  return absl::OkStatus();
}

}  // namespace

Status check(const ServeConfig& config) {
  if (config.workers < 1 || config.workers > kMaxWorkers) {
    return absl::InvalidArgumentError(
        fmt::format("workers must be from 1 to {}, not {}", kMaxWorkers, config.workers));
  }
  if (!config.router.workers.empty()) {
    return absl::InvalidArgumentError(
        "router.workers must be empty here: `bessemer serve` starts its own workers; to front "
        "others "
        "use `bessemer router --workers HOST:PORT ...`");
  }
  if (config.router.ready_workers != 0) {
    return absl::InvalidArgumentError(
        "router.ready_workers is decided by workers here: `bessemer serve` is ready when all are");
  }
  RETURN_IF_ERROR(annotate(validate(config.router), "router"));
  return validate(config.worker);  // says itself whose setting it is
}

std::vector<std::string> router_args(const RouterConfig& config, const LogConfig& log) {
  return child_args("router", config, log);
}
std::vector<std::string> worker_args(const WorkerConfig& config, const LogConfig& log) {
  return child_args("worker", config, log);
}

int serve_command(ServeConfig config, const Environment& environment) {
  int exit_code = 0;
  const Status status = serve(config, environment, exit_code);
  if (status.ok()) return exit_code;
  fmt::print(stderr, "bessemer serve: {}\n", std::string(status.message()));
  return 1;
}

}  // namespace bessemer
