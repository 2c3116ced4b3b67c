// One thread with its own event loop. Everything of a connection, and of the requests on it,
// happens on one core.
#pragma once
#include <cstddef>

#include <absl/functional/any_invocable.h>

#include "common/clock.h"

namespace bessemer {

class Core {
 public:
  using Task = absl::AnyInvocable<void()>;
  virtual ~Core() = default;

  virtual size_t index() const = 0;
  // Runs `task` on the core's thread, later, in order. Any thread.
  virtual void post(Task task) = 0;
  // Runs `task` on the core's thread after `delay`. On the core's thread only.
  virtual void after(Duration delay, Task task) = 0;

  virtual size_t connections() const = 0;
  // Requests from their first byte until their answer has left.
  virtual size_t live_requests() const = 0;
  // A request of another front begins (1) or has ended (-1) here. Any thread.
  virtual void count_request(int by) = 0;
};

}  // namespace bessemer
