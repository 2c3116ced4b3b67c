// Errors of the outside world: absl::Status with a message that names the thing and the remedy.
#pragma once
#include <string>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace bessemer {

using absl::Status;
using absl::StatusOr;

// `error` with "context: " in front of its message; OK stays OK.
Status annotate(const Status& error, const std::string& context);

}  // namespace bessemer

#define BESSEMER_CONCAT_INNER(a, b) a##b
#define BESSEMER_CONCAT(a, b) BESSEMER_CONCAT_INNER(a, b)

// Returns the status from the enclosing function when it is not OK.
#define RETURN_IF_ERROR(expression)                                           \
  do {                                                                        \
    if (::absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// `ASSIGN_OR_RETURN(auto x, f())`: x = the value of f(), or returns its error.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(BESSEMER_CONCAT(status_or_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(holder, target, expression) \
  auto holder = (expression);                              \
  if (!holder.ok()) return std::move(holder).status();     \
  target = std::move(holder).value()
