// The state of one rendering that every operation may need: memory, budget, the time.
#pragma once
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "common/status.h"
#include "router/text/jinja/limits.h"
#include "router/text/jinja/value.h"

namespace bessemer::jinja {

// An error in template or data; the interpreter adds line and column.
template <typename... Args>
Status fail(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

class Runtime {
 public:
  // now_s: seconds since 1970 that strftime_now() shows.
  Runtime(const Limits& limits, int64_t now_s) : limits_(limits), now_s_(now_s) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Pays for work. ResourceExhausted: the budget of steps or memory is spent.
  Status charge(uint64_t steps = 1) {
    steps_ += steps;
    if (steps_ <= limits_.steps && memory_used_ <= limits_.memory_bytes) [[likely]]
      return {};
    return exhausted();
  }
  // Pays for going through or making that many bytes of text.
  Status charge_bytes(size_t bytes) { return charge(1 + bytes / 64); }
  // To be asked before something is made whose size depends on data.
  Status reserve(size_t bytes) {
    RETURN_IF_ERROR(charge_bytes(bytes));
    if (bytes <= limits_.memory_bytes - memory_used_) [[likely]]
      return {};
    return exhausted();
  }

  // Memory that lives until the end of the rendering.
  template <typename T>
  T* make(T initial) {
    static_assert(std::is_trivially_destructible_v<T>, "nobody will destroy it");
    memory_used_ += sizeof(T);
    return new (memory_.allocate(sizeof(T), alignof(T))) T(std::move(initial));
  }
  template <typename T>
  StatusOr<std::span<T>> array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>, "nobody will destroy it");
    if (count > limits_.memory_bytes / sizeof(T)) return exhausted();
    RETURN_IF_ERROR(reserve(count * sizeof(T)));
    memory_used_ += count * sizeof(T);
    T* first = static_cast<T*>(memory_.allocate(count * sizeof(T), alignof(T)));
    std::uninitialized_value_construct_n(first, count);
    return std::span<T>(first, count);
  }

  StatusOr<Value> text(std::string_view text);
  StatusOr<Value> list(std::span<const Value> items);
  StatusOr<Value> tuple(std::span<const Value> items);

  const Limits& limits() const { return limits_; }
  int64_t now_s() const { return now_s_; }

 private:
  Status exhausted() const;

  Limits limits_;
  int64_t now_s_;
  uint64_t steps_ = 0;
  size_t memory_used_ = 0;
  alignas(std::max_align_t) std::byte first_[16 << 10];  // most renderings need no more
  std::pmr::monotonic_buffer_resource memory_{first_, sizeof(first_)};
};

// Text being written. Beyond its limit it drops what comes and says so at the end, so that writers
// need no check of their own behind each piece.
class TextBuilder {
 public:
  explicit TextBuilder(size_t limit) : limit_(limit) {}
  explicit TextBuilder(const Runtime& runtime) : limit_(runtime.limits().memory_bytes) {}

  void add(std::string_view piece) {
    if (text_.size() + piece.size() <= limit_) [[likely]] {
      text_ += piece;
    } else {
      full_ = true;
    }
  }
  void add(char character) { add(std::string_view(&character, 1)); }
  void fill(char character, size_t count) {
    if (count <= limit_ - text_.size()) {
      text_.append(count, character);
    } else {
      full_ = true;
    }
  }

  bool full() const { return full_; }
  size_t size() const { return text_.size(); }
  std::string_view view() const { return text_; }
  // The text in the rendering's memory. ResourceExhausted when it grew beyond its limit.
  StatusOr<Value> take(Runtime& runtime) const;
  std::string release() { return std::move(text_); }

 private:
  size_t limit_;
  bool full_ = false;
  std::string text_;
};

}  // namespace bessemer::jinja
