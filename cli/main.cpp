// The `bessemer` command: one binary for router, worker, supervisor and tools.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include <CLI/CLI.hpp>
#include <absl/synchronization/mutex.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/config/fields.h"
#include "cli/config/flags.h"
#include "cli/config/reload.h"
#include "cli/config/suggest.h"
#include "cli/config/yaml.h"
#include "cli/environment.h"
#include "cli/inspect.h"
#include "cli/key.h"
#include "cli/models/pull.h"
#include "cli/run/run_command.h"
#include "cli/serve/serve_command.h"
#include "cli/template.h"
#include "cli/tokenize.h"
#include "cli/version.h"
#include "common/log.h"
#include "router/router.h"
#include "worker/worker.h"

namespace bessemer {
namespace {

// The file named by --config: it must be read before the flags are, so that flags win.
std::optional<std::string> config_path(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--config" && i + 1 < argc) return argv[i + 1];
    if (arg.starts_with("--config=")) return std::string(arg.substr(9));
  }
  return std::nullopt;
}

// CLI11's own checks name their bounds, which for "positive" have three hundred digits.
CLI::Validator whole_number(int64_t least) {
  const auto problem = [least](const std::string& text) -> std::string {
    int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec == std::errc() && read.ptr == end && value >= least) return "";
    return fmt::format("must be a whole number from {} on, not '{}'", least, text);
  };
  return {problem, ""};
}

// What every long-running command has beside its settings.
struct ProcessFlags {
  std::string config;
  std::string log_name;
  bool print_config = false;
};

class CommandLine {
 public:
  CommandLine(int argc, char** argv) : argc_(argc), argv_(argv), environment_(read_environment()) {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", version_text());
    app_.footer("`bessemer COMMAND --help` explains a command and gives examples.");
    add_serve();
    add_router();
    add_worker();
    add_run();
    add_pull();
    add_tokenize();
    add_template();
    add_inspect();
    add_key();
  }

  int run() {
    if (const Status status = read_config_file(); !status.ok()) {
      fmt::print(stderr, "bessemer: {}\n", std::string(status.message()));
      return 1;
    }
    try {
      app_.parse(argc_, argv_);
    } catch (const CLI::ParseError& error) {
      return refuse(error);
    }
    return action_();
  }

 private:
  CLI::App* command(const char* name, const char* description, const char* footer,
                    std::function<int()> action) {
    CLI::App* sub = app_.add_subcommand(name, description);
    sub->footer(footer);
    sub->callback([this, action = std::move(action)] { action_ = action; });
    return sub;
  }

  void add_process_flags(CLI::App* sub, LogConfig& log) {
    sub->add_option("--config", process_.config,
                    "YAML file with any of these settings; flags win over it")
        ->check(CLI::ExistingFile);
    sub->add_flag("--print-config", process_.print_config,
                  "print the settings in force as YAML and stop");
    sub->add_option("--log-name", process_.log_name, "name of this process in its log lines")
        ->group("");
    visit_fields(log, FlagAdder(*sub, "", "Logging"));
  }

  static Status check_level(const LogConfig& log) {
    if (log_level_of(log.level)) return absl::OkStatus();
    return absl::InvalidArgumentError("log_level = \"" + log.level +
                                      "\" is none of trace, debug, info, warn, error, off");
  }

  // An exit status where nothing is to be started: a wrong setting, or --print-config was answered.
  std::optional<int> answered(const LogConfig& log, const Status& valid,
                              const std::string& yaml) const {
    if (const Status level = check_level(log); !level.ok()) {
      fmt::print(stderr, "bessemer: {}\n", std::string(level.message()));
      return 1;
    }
    if (!process_.print_config) return std::nullopt;  // the command itself says what is not valid
    if (!valid.ok()) {
      fmt::print(stderr, "bessemer: {}\n", std::string(valid.message()));
      return 1;
    }
    if (std::fputs(yaml.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return 0;
    fmt::print(stderr, "bessemer: the settings cannot be written: {}\n", std::strerror(errno));
    return 1;
  }
  // What the environment says where nothing else does.
  Status complete(RouterConfig& config) const {
    if (config.cache_dir.empty()) config.cache_dir = environment_.cache_dir;
    if (config.kubernetes_api.empty()) config.kubernetes_api = environment_.kubernetes_api;
    if (config.tenants_file.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(config.tenants, read_tenants(config.tenants_file));
    return absl::OkStatus();
  }
  Status valid_for_router() {
    RETURN_IF_ERROR(complete(router_));
    return validate(router_);
  }
  // A model that is not named is the default one; which file it is, only the command finds out.
  static WorkerConfig with_model(WorkerConfig config) {
    if (config.model_path.empty()) config.model_path = ServeConfig{}.model;
    return config;
  }
  Status valid_for_serve() const {
    ServeConfig config = serve_;
    config.worker = with_model(config.worker);
    RETURN_IF_ERROR(complete(config.router));
    return check(config);
  }
  void start_log(const LogConfig& log, const std::string& name) const {
    init_log(process_.log_name.empty() ? name : process_.log_name, log.level, log.json);
  }

  void add_serve() {
    CLI::App* sub = command(
        "serve", "run a router and its workers on this machine",
        "Examples:\n  bessemer serve\n  bessemer serve --model model.gguf --workers 2 --port 8000\n"
        "  bessemer serve --config cluster.yaml --print-config",
        [this] {
          if (const auto code = answered(serve_.log, valid_for_serve(), print_yaml(serve_)))
            return *code;
          start_log(serve_.log, "serve");
          return serve_command(serve_, environment_);
        });
    sub->add_option("--model", serve_.model, "alias (" + alias_list() + ") or path of a GGUF file")
        ->capture_default_str();
    sub->add_option("--workers", serve_.workers,
                    "worker processes; each takes its share of the cores")
        ->capture_default_str();
    sub->add_option("--host,--router.host", serve_.router.host,
                    "address to bind; 0.0.0.0: every interface")
        ->capture_default_str();
    sub->add_option("--port,--router.port", serve_.router.port, "port to bind; 0: any free one")
        ->capture_default_str();
    sub->add_option("--name,--worker.name", serve_.worker.model_name,
                    "model name in /v1/models; default: the catalog's or the file's");
    add_process_flags(sub, serve_.log);
    visit_fields(serve_.router, FlagAdder(*sub, "router.", "Router"));
    visit_fields(serve_.worker, FlagAdder(*sub, "worker.", "Workers"));
  }

  void add_router() {
    CLI::App* sub = command(
        "router", "run a router in front of workers that run elsewhere",
        "Example:\n  bessemer router --port 8000 --workers 10.0.0.1:9000 10.0.0.2:9000", [this] {
          const Status valid = valid_for_router();
          if (const auto code = answered(log_, valid, print_yaml(router_, log_))) return *code;
          start_log(log_, "router");
          if (!valid.ok()) {
            log().error("the router cannot start: {}", std::string(valid.message()));
            return 1;
          }
          return run_router(router_, {process_.config, [this] { return reread_router(); }});
        });
    add_process_flags(sub, log_);
    visit_fields(router_, FlagAdder(*sub, "", "Settings"));
  }

  // The file over the defaults and the flags over the file, as at the start.
  StatusOr<RouterConfig> reread_router() {
    CommandLine again(argc_, argv_);
    RETURN_IF_ERROR(again.read_config_file());
    try {
      again.app_.parse(argc_, argv_);
    } catch (const CLI::ParseError& error) {
      return absl::InvalidArgumentError(error.what());
    }
    RETURN_IF_ERROR(again.complete(again.router_));
    const std::vector<std::string> kept = keep_fixed(router_, again.router_);
    RETURN_IF_ERROR(annotate(check_level(again.log_), process_.config));
    RETURN_IF_ERROR(annotate(validate(again.router_), process_.config));
    if (!kept.empty()) {
      log().warn("{}: {} cannot change while the router runs: restart it for the new value",
                 process_.config, fmt::join(kept, ", "));
    }
    log().set_level(*log_level_of(again.log_.level));
    return router_ = std::move(again.router_);
  }

  void add_worker() {
    CLI::App* sub =
        command("worker", "run one worker: a model, served to routers over gRPC",
                "Example:\n  bessemer worker --model smollm2 --host 0.0.0.0 --port 9000", [this] {
                  if (const auto code =
                          answered(log_, validate(with_model(worker_)), print_yaml(worker_, log_)))
                    return *code;
                  start_log(log_, "worker");
                  return start_worker();
                });
    add_process_flags(sub, log_);
    visit_fields(worker_, FlagAdder(*sub, "", "Settings"));
  }

  int start_worker() {
    const std::string wanted =
        worker_.model_path.empty() ? ServeConfig{}.model : worker_.model_path;
    const StatusOr<ResolvedModel> model = resolve_model(wanted, environment_);
    if (!model.ok()) {
      log().error("{}", std::string(model.status().message()));
      return 1;
    }
    worker_.model_path = model->path;
    if (worker_.model_name.empty()) worker_.model_name = model->name;
    if (!model->alias.empty()) worker_.aliases.push_back(model->alias);
    return run_worker(worker_);
  }

  void add_run() {
    CLI::App* sub = command(
        "run", "chat in the terminal",
        "Examples:\n  bessemer run\n  bessemer run --model model.gguf 'Why is the sky blue?'\n"
        "  echo 'Say hello' | bessemer run\n  bessemer run --url http://127.0.0.1:8000",
        [this] {
          init_log("run", "warn", false);
          run_.chat.color = environment_.color;
          return run_command(run_, environment_);
        });
    sub->add_option("--model", run_.model,
                    "alias or path of a GGUF file, default " + ServeConfig{}.model +
                        "; with --url: a model of that server, default the first it lists");
    sub->add_option("--url", run_.url,
                    "a running router; default: a private one for the time of the chat");
    sub->add_option("--system", run_.chat.system, "system prompt");
    sub->add_option("--temperature", run_.chat.temperature, "0: always the likeliest token")
        ->check(CLI::Range(0.0, 2.0));
    sub->add_option("--top-p", run_.chat.top_p, "nucleus size")->check(CLI::Range(0.0, 1.0));
    sub->add_option("--max-tokens", run_.chat.max_tokens, "longest answer")->check(whole_number(1));
    sub->add_option("--seed", run_.chat.seed, "makes an answer repeatable")->check(whole_number(0));
    sub->add_flag("--stats", run_.stats, "print speed figures after each answer");
    sub->add_option("prompt", run_.prompt, "a single question; without it: a conversation");
  }

  void add_pull() {
    CLI::App* sub = command("pull", "fetch a model of the catalog into the cache",
                            "Example:\n  bessemer pull smollm2", [this] {
                              init_log("pull", "info", false);
                              return pull_command();
                            });
    sub->add_option("model", pull_model_, "alias: " + alias_list())->required();
  }

  int pull_command() const {
    const StatusOr<ResolvedModel> model = resolve_model(pull_model_, environment_);
    if (!model.ok()) {
      fmt::print(stderr, "bessemer pull: {}\n", std::string(model.status().message()));
      return 1;
    }
    fmt::print("{}\n", model->path);
    return 0;
  }

  // The path that an alias stands for; tools take aliases wherever they take files.
  bool resolve_path(std::string& path) const {
    StatusOr<ResolvedModel> model = resolve_model(path, environment_);
    if (model.ok()) {
      path = model->path;
      return true;
    }
    fmt::print(stderr, "bessemer: {}\n", std::string(model.status().message()));
    return false;
  }

  void add_tokenize() {
    CLI::App* sub =
        command("tokenize", "text on standard input to token ids, or back",
                "Examples:\n  printf 'Hello world' | bessemer tokenize --model smollm2\n"
                "  echo 19556 905 | bessemer tokenize --model smollm2 --decode",
                [this] { return resolve_path(tokenize_.model) ? tokenize_command(tokenize_) : 1; });
    sub->add_option("--model", tokenize_.model, "alias or GGUF file; vocabulary-only files too")
        ->required();
    sub->add_flag("--no-special", tokenize_.no_special,
                  "no BOS or EOS around the text; with --decode: leave control tokens out");
    sub->add_flag("--json", tokenize_.json, "ids and tokens as one JSON object");
    sub->add_flag("--decode", tokenize_.decode, "ids to text");
    sub->add_flag("--lines", tokenize_.lines,
                  "many texts: each input line is a JSON string, with --decode an array of ids");
  }

  void add_template() {
    CLI::App* sub =
        command("template", "render a Jinja chat template",
                "Example:\n  bessemer template --template chat.jinja --input request.json",
                [this] { return template_command(template_); });
    sub->add_option("--template", template_.template_path, "Jinja file")->required();
    sub->add_option("--input", template_.input_path,
                    "JSON file whose keys are the template's variables; -: standard input")
        ->required();
  }

  void add_key() {
    CLI::App* sub = command("key", "make an API key for a tenant",
                            "Examples:\n  bessemer key\n  echo MY-KEY | bessemer key --hash\n"
                            "The hash goes into the router's tenants_file, the key to its user.",
                            [this] { return key_command(key_); });
    sub->add_flag("--hash", key_.hash, "print the hash of the key on standard input");
  }

  void add_inspect() {
    CLI::App* sub = command(
        "inspect", "what is in a GGUF file", "Example:\n  bessemer inspect model.gguf --json",
        [this] { return resolve_path(inspect_.path) ? inspect_command(inspect_) : 1; });
    sub->add_option("file", inspect_.path, "GGUF file or alias")->required();
    sub->add_flag("--json", inspect_.json, "one JSON document instead of tables");
  }

  Status read_config_file() {
    const std::optional<std::string> path = config_path(argc_, argv_);
    const std::string_view name = argc_ > 1 ? argv_[1] : "";
    if (!path) return absl::OkStatus();
    if (name == "serve") return read_yaml(*path, serve_);
    if (name == "router") return read_yaml(*path, router_, log_);
    if (name == "worker") return read_yaml(*path, worker_, log_);
    return absl::OkStatus();
  }

  // The parser's message, with a suggestion for a misspelt flag or command.
  int refuse(const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error);  // --help, --version
    const bool known = !app_.get_subcommands().empty();
    const bool misnamed = !known && argc_ > 1 && *argv_[1] != '-';
    const std::string what = misnamed ? fmt::format("'{}' is no command", argv_[1]) : error.what();
    fmt::print(stderr, "bessemer: {}{}\n", what, suggestion());
    fmt::print(stderr, "Run 'bessemer {}--help' for what there is.\n",
               known ? app_.get_subcommands().front()->get_name() + " " : "");
    return 2;
  }

  std::string suggestion() const {
    std::vector<std::string> known;
    const CLI::App* sub = app_.get_subcommands().empty() ? nullptr : app_.get_subcommands().front();
    if (sub == nullptr) {
      for (const CLI::App* other : app_.get_subcommands({})) known.push_back(other->get_name());
      return argc_ > 1 ? did_you_mean(argv_[1], known) : "";
    }
    for (const CLI::Option* option : sub->get_options()) known.push_back(option->get_name());
    for (const std::string& extra : sub->remaining()) {
      if (extra.starts_with("--")) return did_you_mean(extra.substr(0, extra.find('=')), known);
    }
    return "";
  }

  int argc_;
  char** argv_;
  CLI::App app_{"Bessemer: an LLM serving cluster.", "bessemer"};
  Environment environment_;
  std::function<int()> action_;
  ProcessFlags process_;
  LogConfig log_;
  ServeConfig serve_;
  RouterConfig router_;
  WorkerConfig worker_;
  RunOptions run_;
  std::string pull_model_;
  TokenizeOptions tokenize_;
  TemplateOptions template_;
  InspectOptions inspect_;
  KeyOptions key_;
};

}  // namespace
}  // namespace bessemer

int main(int argc, char** argv) {
  // Debian builds Abseil without NDEBUG: its deadlock detector would cost time on every lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return bessemer::CommandLine(argc, argv).run();
}
