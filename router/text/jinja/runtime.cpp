#include "router/text/jinja/runtime.h"

#include <algorithm>

namespace bessemer::jinja {

Status Runtime::exhausted() const {
  if (steps_ > limits_.steps) {
    return absl::ResourceExhaustedError(fmt::format(
        "rendering takes more than {} steps; the template loops too much or the input is too large",
        limits_.steps));
  }
  return absl::ResourceExhaustedError(
      fmt::format("rendering takes more than {} MiB of memory", limits_.memory_bytes >> 20));
}

StatusOr<Value> Runtime::text(std::string_view text) {
  ASSIGN_OR_RETURN(const std::span<char> copy, array<char>(text.size()));
  std::copy(text.begin(), text.end(), copy.begin());
  return text_value({copy.data(), copy.size()});
}

StatusOr<Value> Runtime::list(std::span<const Value> items) {
  ASSIGN_OR_RETURN(const std::span<Value> copy, array<Value>(items.size()));
  std::copy(items.begin(), items.end(), copy.begin());
  return list_value(copy);
}

StatusOr<Value> Runtime::tuple(std::span<const Value> items) {
  ASSIGN_OR_RETURN(const Value copy, list(items));
  return tuple_value(copy.elements());
}

StatusOr<Value> TextBuilder::take(Runtime& runtime) const {
  if (!full_) return runtime.text(text_);
  return absl::ResourceExhaustedError(fmt::format("a text grew beyond {} MiB", limit_ >> 20));
}

}  // namespace bessemer::jinja
