#include "bench/serve/server.h"

#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include <unistd.h>

#include "bench/serve/fetch.h"
#include "bench/serve/load.h"
#include "bench/serve/prompts.h"
#include "common/ports.h"

namespace bessemer::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kPoll{2};        // between two tries of a starting server
constexpr seconds kAnswerTimeout{120};  // of one token from a server that is up

TimePoint now() {
  return std::chrono::steady_clock::now();
}

StatusOr<json::object> fetch_object(const Target& target, const std::string& path) {
  ASSIGN_OR_RETURN(const Fetched fetched, fetch(target, path, "", kAnswerTimeout));
  if (fetched.status != 200) {
    return absl::UnavailableError(target.server.url() + path + " answers with " +
                                  std::to_string(fetched.status));
  }
  ASSIGN_OR_RETURN(const json::value value, parse_json(fetched.body));
  if (!value.is_object()) return absl::InternalError(path + " is no JSON object");
  return value.get_object();
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

// The first entry of /v1/models.
StatusOr<json::object> first_model(const Target& target) {
  ASSIGN_OR_RETURN(const json::object models, fetch_object(target, "/v1/models"));
  const json::value* data = models.if_contains("data");
  const json::array* list = data == nullptr ? nullptr : data->if_array();
  const json::object* first = list == nullptr || list->empty() ? nullptr : (*list)[0].if_object();
  if (first == nullptr || text_of(*first, "id").empty()) {
    return absl::NotFoundError(target.server.url() + "/v1/models lists no model; give --model");
  }
  return *first;
}

// Servers tell who they are in the owner of their models, and their version in different places:
// /version (ours, vLLM) or /props (llama.cpp).
std::string software_of(const Target& target) {
  std::string name, version;
  if (const auto model = first_model(target); model.ok()) name = text_of(*model, "owned_by");
  if (const auto answer = fetch_object(target, "/version"); answer.ok())
    version = text_of(*answer, "version");
  if (version.empty()) {
    if (const auto answer = fetch_object(target, "/props"); answer.ok())
      version = text_of(*answer, "build_info");
  }
  if (name.empty()) name = "unknown";
  return version.empty() ? name : name + " " + version;
}

Status try_token(Target& target) {
  if (target.model.empty()) {
    ASSIGN_OR_RETURN(const json::object model, first_model(target));
    target.model = text_of(model, "id");
  }
  return ask_once(target, std::string(kOpeningWord), 1, kAnswerTimeout).status();
}

Status start(const std::string& command, Server& server) {
  if (command.find("{port}") == std::string::npos) {
    return absl::InvalidArgumentError("`" + command +
                                      "` does not say where it listens: put {port} into it");
  }
  ASSIGN_OR_RETURN(const std::vector<int> ports, free_ports("127.0.0.1", 1, "{port}"));
  server.target.server = {.host = "127.0.0.1", .port = std::to_string(ports[0])};
  server.log = (std::filesystem::temp_directory_path() /
                ("bessemer_bench_" + std::to_string(getpid()) + "_" + server.label + ".log"))
                   .string();
  ASSIGN_OR_RETURN(Program program,
                   Program::start(filled(command, "{port}", std::to_string(ports[0])), server.log));
  server.program.emplace(std::move(program));
  return absl::OkStatus();
}

// Until a first token has come.
Status wait_until_up(Server& server, TimePoint deadline) {
  while (true) {
    Status tried = try_token(server.target);
    if (tried.ok()) return tried;
    if (server.program && !server.program->running()) {
      return absl::UnavailableError("server " + server.label +
                                    " ended while it started; its last words are in " + server.log);
    }
    if (!server.program || now() > deadline) {
      return annotate(tried, "server " + server.label + " gives no token" +
                                 (server.log.empty() ? "" : ", see its log " + server.log));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace

StatusOr<Outcome> ask_once(const Target& target, const std::string& prompt, int output_tokens,
                           Duration timeout) {
  Phase phase{.name = "once", .conversations = {}};
  phase.conversations.push_back({.at_s = 0, .turns = {{prompt, output_tokens}}});
  LoadOptions options;
  options.concurrency = 1;
  options.timeout = timeout;
  ASSIGN_OR_RETURN(LoadResult result, run_load(target, phase, options));
  Outcome& outcome = result.outcomes.front();
  if (outcome.failure == Failure::none) return std::move(outcome);
  return absl::UnavailableError(target.server.url() + ": " + name_of(outcome.failure) +
                                (outcome.status > 0 ? " " + std::to_string(outcome.status) : "") +
                                ": " + outcome.message);
}

StatusOr<Server> open_server(const Candidate& candidate, Duration start_timeout) {
  Server server;
  server.label = candidate.label;
  server.target = candidate.target;
  server.where = candidate.command.empty() ? candidate.url : candidate.command;
  const TimePoint begin = now();
  if (candidate.command.empty()) {
    ASSIGN_OR_RETURN(server.target.server, parse_server_url(candidate.url));
  } else {
    RETURN_IF_ERROR(start(candidate.command, server));
  }
  RETURN_IF_ERROR(wait_until_up(server, begin + start_timeout));
  if (server.program) server.start_ms = ms_between(begin, now());
  server.software = software_of(server.target);
  return server;
}

void close_server(Server server) {
  server.program.reset();
  std::error_code ignored;
  if (!server.log.empty()) std::filesystem::remove(server.log, ignored);
}

}  // namespace bessemer::bench
