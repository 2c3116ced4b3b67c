// Child processes: functions of this program and programs of their own, their CPU time and memory.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "common/status.h"

namespace bessemer::bench {

struct Child {
  pid_t pid = -1;
  uint16_t port = 0;
};

// Forks; the child runs `body` with a descriptor to which it writes "READY host:port\n". Call
// before any thread exists.
Child spawn(const std::function<int(int ready_fd)>& body);
void stop(const Child& child);

// `command` with `value` at each `place`, like "{port}".
std::string filled(std::string command, std::string_view place, std::string_view value);

// A shell command that runs as a process of its own until the object ends. It leads a process
// group, writes to a log file, and gets SIGTERM when this program dies.
class Program {
 public:
  static StatusOr<Program> start(const std::string& command, const std::string& log_path);
  Program(Program&& other) noexcept;
  Program& operator=(Program&&) = delete;
  // SIGTERM, and SIGKILL to the whole group after kStopSeconds.
  ~Program();

  pid_t pid() const { return pid_; }
  // Reaps it: false from its end on.
  bool running();

 private:
  explicit Program(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // -1: it has ended or was moved away
};

// Time for a server to end its streams before it is killed: more than any server's drain of
// nothing.
constexpr int kStopSeconds = 15;

// User and system time so far, of all threads that live.
int64_t cpu_microseconds(pid_t pid);
// Resident memory in bytes.
int64_t resident_bytes(pid_t pid);

// Memory of a process and all its descendants, each page divided by the number of its users
// (proportional set size), so that what two of them share counts once.
struct Memory {
  int64_t total_bytes = 0;      // everything resident
  int64_t anonymous_bytes = 0;  // of that: not backed by a file, as mapped weights are
};
Memory memory_of_tree(pid_t pid);
// `pid` and its descendants.
std::vector<pid_t> process_tree(pid_t pid);

}  // namespace bessemer::bench
