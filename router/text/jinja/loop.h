// The `loop` of a for statement.
#pragma once
#include "router/text/jinja/iterate.h"

namespace bessemer::jinja {

struct ForStatement;
struct Scope;

// Reads ahead only when it must: a filter of the loop may depend on what the body did before.
class Loop {
 public:
  // `iterable` is what `source` goes through. `body` and `scope`: what loop(...) runs, null unless
  // the loop is recursive.
  Loop(const Value& iterable, Iterator* source, int depth0, const ForStatement* body, Scope* scope)
      : iterable_(iterable), source_(source), depth0_(depth0), body_(body), scope_(scope) {}

  // The next item; false: the loop is over.
  StatusOr<bool> advance(Runtime& runtime, Value& item);
  // loop.<name>; missing: there is no such member. loop.cycle and loop.changed are natives of the
  // caller's table.
  StatusOr<Value> member(Runtime& runtime, std::string_view name);
  StatusOr<Int> length(Runtime& runtime);

  Int index0() const { return index0_; }
  int depth0() const { return depth0_; }
  const ForStatement* body() const { return body_; }
  Scope* scope() const { return scope_; }
  Value& last_changed() { return last_changed_; }

 private:
  StatusOr<Value> peek(Runtime& runtime);  // missing: there is none

  Value iterable_;
  Iterator* source_;
  int depth0_;
  const ForStatement* body_;
  Scope* scope_;
  Int index0_ = -1;
  Int length_ = -1;  // not known yet
  Value before_, current_, after_, last_changed_;
};

}  // namespace bessemer::jinja
