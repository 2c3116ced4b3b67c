#include "cli/run/interrupts.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace bessemer {

Interrupts::Interrupts() {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, &before_);
  descriptor_ = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
}

Interrupts::~Interrupts() {
  forget();
  close(descriptor_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupts::forget() const {
  signalfd_siginfo info;
  while (read(descriptor_, &info, sizeof info) == sizeof info) {
  }
}

}  // namespace bessemer
