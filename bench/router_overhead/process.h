// Child processes and their CPU time.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

namespace bessemer {

struct Child {
  pid_t pid = -1;
  uint16_t port = 0;
};

// Forks; the child runs `body` with a descriptor to which it writes "READY host:port\n". Call
// before any thread exists.
Child spawn(const std::function<int(int ready_fd)>& body);
void stop(const Child& child);

// User and system time so far, of all threads that live.
int64_t cpu_microseconds(pid_t pid);
// Resident memory in bytes.
int64_t resident_bytes(pid_t pid);
std::string cpu_model();

}  // namespace bessemer
