#include "router/text/jinja/loop.h"

namespace bessemer::jinja {

StatusOr<bool> Loop::advance(Runtime& runtime, Value& item) {
  Value next = after_;
  if (next.given()) {
    after_ = {};
  } else {
    ASSIGN_OR_RETURN(const bool more, source_->next(runtime, next));
    if (!more) return false;
  }
  ++index0_;
  before_ = current_;
  current_ = item = next;
  return true;
}

StatusOr<Value> Loop::peek(Runtime& runtime) {
  if (after_.given()) return after_;
  ASSIGN_OR_RETURN(const bool more, source_->next(runtime, after_));
  if (!more) after_ = {};
  return after_;
}

StatusOr<Int> Loop::length(Runtime& runtime) {
  if (length_ >= 0) return length_;
  if (const std::optional<Int> size = size_of(iterable_)) return length_ = *size;
  ASSIGN_OR_RETURN(const std::span<const Value> rest, to_items(runtime, iterator_value(source_)));
  length_ = static_cast<Int>(rest.size()) + index0_ + 1 + (after_.given() ? 1 : 0);
  source_ = iterator_value(runtime, rest).iterator;
  return length_;
}

StatusOr<Value> Loop::member(Runtime& runtime, std::string_view name) {
  if (name == "index") return int_value(index0_ + 1);
  if (name == "index0") return int_value(index0_);
  if (name == "first") return bool_value(index0_ == 0);
  if (name == "depth") return int_value(depth0_ + 1);
  if (name == "depth0") return int_value(depth0_);
  if (name == "last" || name == "nextitem") {
    ASSIGN_OR_RETURN(const Value next, peek(runtime));
    if (name == "last") return bool_value(!next.given());
    return next.given() ? next : undefined_value("there is no next item", Value::kMessage);
  }
  if (name == "previtem") {
    return index0_ == 0 ? undefined_value("there is no previous item", Value::kMessage) : before_;
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    ASSIGN_OR_RETURN(const Int all, length(runtime));
    return int_value(name == "length" ? all : all - index0_ - (name == "revindex0" ? 1 : 0));
  }
  return Value{};
}

}  // namespace bessemer::jinja
