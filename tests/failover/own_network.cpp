#include "tests/failover/own_network.h"

#include <cstdlib>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace bessemer::failover {
namespace {

constexpr const char* kMark = "BESSEMER_OWN_NETWORK";  // in the environment

// The exit status; 127: it could not be started.
int run(std::vector<std::string> arguments, bool quiet) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (quiet) posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return 127;
  return WEXITSTATUS(status);
}

}  // namespace

bool can_have_own_network() {
  return run({"unshare", "-rn", "ip", "link", "set", "lo", "up"}, true) == 0;
}

bool in_own_network() {
  return std::getenv(kMark) != nullptr;
}

int run_in_own_network(std::vector<std::string> arguments) {
  std::vector<std::string> all{"unshare",
                               "-rn",
                               "env",
                               std::string(kMark) + "=1",
                               "sh",
                               "-c",
                               "ip link set lo up && exec \"$0\" \"$@\""};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(std::move(all), false);
}

// Loopback's addresses are in the table `local`; the longer prefix wins.
Status set_route_black_hole(const std::string& address, bool on) {
  if (run({"ip", "route", on ? "add" : "del", "blackhole", address + "/32", "table", "local"},
          false) == 0)
    return absl::OkStatus();
  return absl::UnavailableError("the route to " + address + " cannot be changed");
}

}  // namespace bessemer::failover
