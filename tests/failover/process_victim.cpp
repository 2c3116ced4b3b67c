#include "tests/failover/process_victim.h"

#include <csignal>
#include <cstring>

#include "bench/mock_worker/mock_main.h"

namespace bessemer::failover {

bool is_mock_command(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], kMockCommand) == 0;
}

int run_mock_command(int argc, char** argv) {
  return mock_worker_main(argc - 1, argv + 1);
}

StatusOr<std::unique_ptr<ProcessVictim>> ProcessVictim::start(
    const std::vector<std::string>& flags) {
  std::unique_ptr<ProcessVictim> victim(new ProcessVictim(flags));
  RETURN_IF_ERROR(victim->spawn());
  return victim;
}

Status ProcessVictim::spawn() {
  std::vector<std::string> arguments{"/proc/self/exe", kMockCommand, "--until-eof", "--port",
                                     std::to_string(port_)};
  arguments.insert(arguments.end(), flags_.begin(), flags_.end());
  ASSIGN_OR_RETURN(child_, Child::start(std::move(arguments)));
  port_ = child_->port();
  return absl::OkStatus();
}

void ProcessVictim::begin(FaultKind kind) {
  if (kind == FaultKind::kill) {
    child_.reset();
  } else {
    child_->signal(SIGSTOP);
  }
}

// Its port may be a client's for a moment: then it comes back later.
bool ProcessVictim::end(FaultKind kind) {
  if (kind == FaultKind::kill) return spawn().ok();
  child_->signal(SIGCONT);
  return true;
}

}  // namespace bessemer::failover
