// A program as a child process that says "READY host:port" on its standard output.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "common/status.h"

namespace bessemer::failover {

class Child {
 public:
  // arguments[0] is the program's path. Unavailable: it did not become ready.
  static StatusOr<std::unique_ptr<Child>> start(std::vector<std::string> arguments);
  // SIGKILL. Its standard input is a pipe that nobody else holds: a child that ends with its input
  // ends with this program, however that ends.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int port() const { return port_; }
  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // SIGTERM; all that it says on its standard output until its end.
  std::string finish();

 private:
  Child() = default;
  std::string read_line() const;

  pid_t pid_ = -1;
  int port_ = 0;
  int input_ = -1, output_ = -1;
};

}  // namespace bessemer::failover
