#pragma once
#include <signal.h>

namespace bessemer {

// ctrl-C as something to be waited for: while one lives, SIGINT ends nothing in this thread and
// makes `descriptor` readable. They may be nested: what the outer one has got waits for the inner
// one, and the first to end takes everything with it.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  int descriptor() const { return descriptor_; }
  // Takes back what has come so far.
  void forget() const;

 private:
  int descriptor_;
  sigset_t before_;  // the thread's mask
};

}  // namespace bessemer
