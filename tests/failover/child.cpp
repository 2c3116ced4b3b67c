#include "tests/failover/child.h"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace bessemer::failover {
namespace {

int port_of(const std::string& line) {
  const size_t colon = line.rfind(':');
  const bool ready = line.starts_with("READY ") && colon != std::string::npos;
  return ready ? std::atoi(line.c_str() + colon + 1) : 0;
}

}  // namespace

StatusOr<std::unique_ptr<Child>> Child::start(std::vector<std::string> arguments) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return absl::ResourceExhaustedError("no pipe for a child");
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return absl::ResourceExhaustedError("no pipe for a child");
  }
  std::unique_ptr<Child> child(new Child());
  child->input_ = in[1];
  child->output_ = out[0];
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  const int error = posix_spawn(&child->pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  if (error != 0) child->pid_ = -1;
  child->port_ = error == 0 ? port_of(child->read_line()) : 0;
  if (child->port_ == 0) return absl::UnavailableError(arguments[0] + " did not start");
  return child;
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  for (const int end : {input_, output_}) {
    if (end >= 0) close(end);
  }
}

void Child::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

std::string Child::read_line() const {
  std::string line;
  char byte = 0;
  while (read(output_, &byte, 1) == 1 && byte != '\n') line.push_back(byte);
  return line;
}

std::string Child::finish() {
  signal(SIGTERM);
  std::string said;
  for (std::string line = read_line(); !line.empty(); line = read_line()) said += line + "\n";
  return said;
}

}  // namespace bessemer::failover
