// The interpreter's calls: macros, recursive loops, built-ins.
#include <algorithm>

#include "router/text/jinja/interpreter.h"
#include "router/text/jinja/loop.h"
#include "router/text/jinja/macro.h"

namespace bessemer::jinja {

StatusOr<Value> Interpreter::call_value(const Value& callee, const Arguments& given) {
  switch (callee.kind) {
    case Kind::macro:
      return call_macro(*callee.macro, given);
    case Kind::native:
      return callee.native->native->call(runtime_, callee.native->self, given);
    case Kind::loop:
      return call_loop(*callee.loop, given);
    case Kind::joiner:
      if (!given.positional.empty() || !given.named.empty())
        return fail("a joiner takes no arguments");
      if (std::exchange(callee.joiner->used, true)) return callee.joiner->separator;
      return text_value("");
    case Kind::undefined:
      return fail("{}", undefined_message(callee));
    default:
      return fail("'{}' object is not callable", type_name(callee));
  }
}

StatusOr<Value> Interpreter::call_loop(Loop& loop, const Arguments& given) {
  if (given.positional.size() != 1 || !given.named.empty())
    return fail("loop() takes one argument");
  if (loop.body() == nullptr) return fail("only a loop marked 'recursive' can be called");
  TextBuilder text(runtime_);
  TextBuilder* const outer = std::exchange(out_, &text);
  const StatusOr<Flow> flow = run_loop(*loop.body(), loop.scope(), given[0], loop.depth0() + 1);
  out_ = outer;
  RETURN_IF_ERROR(flow.status());
  return text.take(runtime_);
}

StatusOr<Value> Interpreter::call_macro(const Macro& macro, const Arguments& given) {
  const MacroBody& body = *macro.body;
  ASSIGN_OR_RETURN(Scope* const scope, enter(body.frame, macro.scope));
  size_t bound = 0;
  RETURN_IF_ERROR(bind_parameters(body, given, *scope, bound));
  RETURN_IF_ERROR(bind_rest(body, given, *scope));
  for (const MacroBody::Parameter& parameter : body.parameters.subspan(bound)) {
    Value& slot = scope->slots[static_cast<size_t>(parameter.slot)];
    if (slot.given()) continue;
    if (parameter.default_value != nullptr) {
      ASSIGN_OR_RETURN(slot, evaluate_in(scope, *parameter.default_value));
      continue;
    }
    ASSIGN_OR_RETURN(const Value message,
                     runtime_.text(fmt::format("parameter '{}' was not provided", parameter.name)));
    slot = undefined_value(message.text(), Value::kMessage);
  }
  TextBuilder text(runtime_);
  RETURN_IF_ERROR(run_in(scope, body.body, &text).status());
  return text.take(runtime_);
}

// Positional arguments, then named ones for the parameters that are left. `bound`: how many were
// positional.
Status Interpreter::bind_parameters(const MacroBody& body, const Arguments& given, Scope& scope,
                                    size_t& bound) {
  bound = std::min(given.positional.size(), body.parameters.size());
  for (size_t i = 0; i < bound; ++i) {
    scope.slots[static_cast<size_t>(body.parameters[i].slot)] = given.positional[i];
  }
  for (const MacroBody::Parameter& parameter : body.parameters.subspan(bound)) {
    RETURN_IF_ERROR(runtime_.charge(1 + given.named.size() / 8));
    for (const Arguments::Named& named : given.named) {
      if (named.name == parameter.name)
        scope.slots[static_cast<size_t>(parameter.slot)] = named.value;
    }
  }
  return {};
}

// The special variables: caller, kwargs and varargs.
Status Interpreter::bind_rest(const MacroBody& body, const Arguments& given, Scope& scope) {
  const size_t bound = std::min(given.positional.size(), body.parameters.size());
  const std::string name =
      body.name.empty() ? "the call block" : fmt::format("macro '{}'", body.name);
  DictBuilder rest(runtime_);
  Value caller = undefined_value("No caller defined", Value::kMessage);
  for (const Arguments::Named& named : given.named) {
    const auto matches = [&](const MacroBody::Parameter& parameter) {
      return parameter.name == named.name;
    };
    if (std::ranges::any_of(body.parameters.subspan(bound), matches)) continue;
    if (body.caller_slot >= 0 && named.name == "caller") {
      if (!named.value.is(Kind::none)) caller = named.value;
      continue;
    }
    if (body.kwargs_slot < 0) return fail("{} takes no argument '{}'", name, named.name);
    RETURN_IF_ERROR(rest.set(named.name, named.value));
  }
  if (body.caller_slot >= 0) scope.slots[static_cast<size_t>(body.caller_slot)] = caller;
  if (body.kwargs_slot >= 0) {
    ASSIGN_OR_RETURN(scope.slots[static_cast<size_t>(body.kwargs_slot)], rest.take());
  }
  const std::span<const Value> more = given.positional.subspan(bound);
  if (body.varargs_slot >= 0) {
    scope.slots[static_cast<size_t>(body.varargs_slot)] = tuple_value(more);
  } else if (!more.empty()) {
    return fail("{} takes not more than {} argument(s)", name, body.parameters.size());
  }
  return {};
}

}  // namespace bessemer::jinja
