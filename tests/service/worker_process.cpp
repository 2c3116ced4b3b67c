#include "tests/service/worker_process.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/worker.h"

extern char** environ;

namespace bessemer::testing {
namespace {

constexpr int kReadyFd = 3;

int port_of(const std::string& line) {
  const size_t colon = line.rfind(':');
  const bool ready = line.starts_with("READY ") && colon != std::string::npos;
  return ready ? std::atoi(line.c_str() + colon + 1) : 0;
}

}  // namespace

WorkerProcess::WorkerProcess(const std::vector<std::string>& settings) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  std::vector<std::string> arguments{"/proc/self/exe", "worker"};
  arguments.insert(arguments.end(), settings.begin(), settings.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kReadyFd);
  const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string line;
  char byte = 0;
  while (error == 0 && read(ends[0], &byte, 1) == 1 && byte != '\n') line.push_back(byte);
  close(ends[0]);
  port_ = port_of(line);
}

WorkerProcess::~WorkerProcess() {
  if (pid_ <= 0 || ended_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void WorkerProcess::signal(int number) const {
  if (pid_ > 0 && !ended_) kill(pid_, number);
}

int WorkerProcess::wait(double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ended_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_worker_process(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nothing behind
  init_log("worker under test", "warn", false);
  WorkerConfig config;
  config.backend = "reference";
  config.kv_cache_mb = 32;
  config.ready_fd = kReadyFd;
  for (int i = 2; i < argc; ++i) {
    const std::string setting = argv[i];
    const size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
    if (key == "model") config.model_path = value;
    if (key == "port") config.port = std::atoi(value.c_str());
    if (key == "drain_ms") config.drain_ms = std::atoi(value.c_str());
    if (key == "orphan_ms") config.orphan_ms = std::atoi(value.c_str());
    if (key == "lease_ms") config.lease_ms = std::atoi(value.c_str());
    if (key == "max_lanes") config.max_lanes = std::atoi(value.c_str());
    if (key == "max_waiting") config.max_waiting = std::atoi(value.c_str());
    if (key == "max_watches") config.max_watches = std::atoi(value.c_str());
    if (key == "prefix_cache") config.prefix_cache = value != "off";
    if (key == "max_sequences") config.max_sequences = std::atoi(value.c_str());
  }
  return run_worker(config);
}

}  // namespace bessemer::testing
