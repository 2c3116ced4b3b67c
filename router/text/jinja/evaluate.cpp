// The interpreter's expressions.
#include <vector>

#include "router/text/jinja/interpreter.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/walk.h"

namespace bessemer::jinja {

StatusOr<Value> Interpreter::evaluate(const Expression& node) {
  if (node.kind == ExpressionKind::constant) return as<Constant>(node).value;
  if (node.kind == ExpressionKind::name) return read(as<Name>(node));
  const Level level(*this);
  Status status = level.check();
  if (status.ok()) status = runtime_.charge();
  StatusOr<Value> value = status.ok() ? evaluate_here(node) : StatusOr<Value>(status);
  if (!value.ok() && !failed_at_) failed_at_ = node.offset;
  return value;
}

StatusOr<Value> Interpreter::evaluate_in(Scope* scope, const Expression& node) {
  Scope* const outer = std::exchange(scope_, scope);
  StatusOr<Value> value = evaluate(node);
  scope_ = outer;
  return value;
}

StatusOr<Value> Interpreter::evaluate_here(const Expression& node) {
  switch (node.kind) {
    case ExpressionKind::constant:
      return as<Constant>(node).value;
    case ExpressionKind::name:
      return read(as<Name>(node));
    case ExpressionKind::list:
    case ExpressionKind::tuple:
      return display(as<Display>(node));
    case ExpressionKind::dict:
      return dict(as<DictDisplay>(node));
    case ExpressionKind::attribute: {
      ASSIGN_OR_RETURN(const Value object, evaluate(*as<Attribute>(node).object));
      return get_attribute(runtime_, object, as<Attribute>(node).name);
    }
    case ExpressionKind::item: {
      ASSIGN_OR_RETURN(const Value object, evaluate(*as<Item>(node).object));
      ASSIGN_OR_RETURN(const Value key, evaluate(*as<Item>(node).key));
      return get_item(runtime_, object, key);
    }
    case ExpressionKind::slice:
      return slice(as<SliceItem>(node));
    case ExpressionKind::call:
      return call(as<Call>(node));
    case ExpressionKind::filter:
    case ExpressionKind::test:
      return apply(as<Application>(node));
    case ExpressionKind::negate: {
      ASSIGN_OR_RETURN(const Value operand, evaluate(*as<Unary>(node).operand));
      return negate(operand);
    }
    case ExpressionKind::plus: {
      ASSIGN_OR_RETURN(const Value operand, evaluate(*as<Unary>(node).operand));
      return plus(operand);
    }
    case ExpressionKind::negation: {
      ASSIGN_OR_RETURN(const Value operand, evaluate(*as<Unary>(node).operand));
      return bool_value(!truthy(operand));
    }
    case ExpressionKind::arithmetic:
      return arithmetic(as<Arithmetic>(node));
    case ExpressionKind::comparison:
      return compare_chain(as<ComparisonChain>(node));
    case ExpressionKind::concatenation:
      return concatenate(as<Operands>(node));
    case ExpressionKind::conjunction:
      return logic(as<Operands>(node), false);
    case ExpressionKind::disjunction:
      return logic(as<Operands>(node), true);
    case ExpressionKind::conditional:
      return conditional(as<Conditional>(node));
  }
  return fail("unknown kind of expression");
}

Value Interpreter::read(const Name& name) const {
  const Value& value = slot(name);
  return value.given() ? value : undefined_value(name.name, Value::kName);
}

StatusOr<Value> Interpreter::display(const Display& node) {
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime_.array<Value>(node.items.size()));
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(items[i], evaluate(*node.items[i]));
  }
  return node.kind == ExpressionKind::list ? list_value(items) : tuple_value(items);
}

StatusOr<Value> Interpreter::dict(const DictDisplay& node) {
  DictBuilder builder(runtime_);
  for (const DictDisplay::Pair& pair : node.pairs) {
    ASSIGN_OR_RETURN(const Value key, evaluate(*pair.key));
    ASSIGN_OR_RETURN(const Value value, evaluate(*pair.value));
    RETURN_IF_ERROR(builder.set(key, value));
  }
  return builder.take();
}

StatusOr<Value> Interpreter::slice(const SliceItem& node) {
  ASSIGN_OR_RETURN(const Value object, evaluate(*node.object));
  Value parts[3];
  const Expression* const expressions[] = {node.start, node.stop, node.step};
  for (int i = 0; i < 3; ++i) {
    if (expressions[i] == nullptr) continue;
    ASSIGN_OR_RETURN(parts[i], evaluate(*expressions[i]));
  }
  return get_slice(runtime_, object, parts[0], parts[1], parts[2]);
}

StatusOr<Value> Interpreter::arithmetic(const Arithmetic& node) {
  ASSIGN_OR_RETURN(Value left, evaluate(*node.first));
  size_t used = 0;
  if (left.is(Kind::string) && node.steps[0].how == Operator::add) {
    ASSIGN_OR_RETURN(left, add_texts(node, left, used));
  }
  for (const Arithmetic::Step& step : node.steps.subspan(used)) {
    ASSIGN_OR_RETURN(const Value right, evaluate(*step.operand));
    ASSIGN_OR_RETURN(left, jinja::apply(runtime_, step.how, left, right));
  }
  return left;
}

// 'a' + b + 'c' ...: templates are full of these. One copy at the end instead of one for each '+'.
StatusOr<Value> Interpreter::add_texts(const Arithmetic& node, const Value& first, size_t& used) {
  TextBuilder text(runtime_);
  Value left = first;
  for (const Arithmetic::Step& step : node.steps) {
    if (step.how != Operator::add) break;
    ASSIGN_OR_RETURN(const Value right, evaluate(*step.operand));
    ++used;
    const bool plain = right.is(Kind::string) && !right.is_markup() && !left.is_markup();
    if (!plain) {
      if (text.size() > 0) {
        ASSIGN_OR_RETURN(left, text.take(runtime_));
      }
      return jinja::apply(runtime_, step.how, left, right);
    }
    if (text.size() == 0) text.add(left.text());
    text.add(right.text());
  }
  return text.take(runtime_);
}

StatusOr<Value> Interpreter::compare_chain(const ComparisonChain& node) {
  ASSIGN_OR_RETURN(Value left, evaluate(*node.first));
  for (const ComparisonChain::Step& step : node.steps) {
    ASSIGN_OR_RETURN(const Value right, evaluate(*step.operand));
    ASSIGN_OR_RETURN(const bool holds, compare(runtime_, step.how, left, right));
    if (!holds) return bool_value(false);
    left = right;
  }
  return bool_value(true);
}

StatusOr<Value> Interpreter::concatenate(const Operands& node) {
  TextBuilder text(runtime_);
  for (const Expression* const operand : node.operands) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*operand));
    RETURN_IF_ERROR(write_str(runtime_, text, value));
  }
  return text.take(runtime_);
}

// and: the first false operand, or the last; or: the first true one, or the last.
StatusOr<Value> Interpreter::logic(const Operands& node, bool stop_at) {
  Value value;
  for (const Expression* const operand : node.operands) {
    ASSIGN_OR_RETURN(value, evaluate(*operand));
    if (truthy(value) == stop_at) break;
  }
  return value;
}

StatusOr<Value> Interpreter::conditional(const Conditional& node) {
  ASSIGN_OR_RETURN(const Value test, evaluate(*node.test));
  if (truthy(test)) return evaluate(*node.then);
  if (node.otherwise != nullptr) return evaluate(*node.otherwise);
  return undefined_value(
      "the inline if-expression evaluated to false and no else section was defined",
      Value::kMessage);
}

StatusOr<Value> Interpreter::apply(const Application& node) {
  Value object = captured_;
  if (node.object != nullptr) {
    ASSIGN_OR_RETURN(object, evaluate(*node.object));
  }
  if (node.native == nullptr) {
    return fail("there is no {} named '{}'",
                node.kind == ExpressionKind::filter ? "filter" : "test", node.name);
  }
  ASSIGN_OR_RETURN(const Arguments given, arguments(node.arguments));
  return node.native->call(runtime_, object, given);
}

StatusOr<Value> Interpreter::call(const Call& node, const Value* caller) {
  ASSIGN_OR_RETURN(const Value callee, evaluate(*node.callee));
  ASSIGN_OR_RETURN(const Arguments given, arguments(node.arguments, caller));
  StatusOr<Value> result = call_value(callee, given);
  if (!result.ok() && !failed_at_) failed_at_ = node.callee->offset;
  return result;
}

StatusOr<Arguments> Interpreter::arguments(const CallArguments& node, const Value* caller) {
  std::span<const Value> star;
  Value mapping;
  if (node.star != nullptr) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*node.star));
    ASSIGN_OR_RETURN(star, to_items(runtime_, value));
  }
  if (node.double_star != nullptr) {
    ASSIGN_OR_RETURN(mapping, evaluate(*node.double_star));
    if (!mapping.is(Kind::dict))
      return fail("the argument after ** must be a mapping, not {}", type_name(mapping));
  }
  ASSIGN_OR_RETURN(const std::span<Value> positional,
                   runtime_.array<Value>(node.positional.size() + star.size()));
  for (size_t i = 0; i < node.positional.size(); ++i) {
    ASSIGN_OR_RETURN(positional[i], evaluate(*node.positional[i]));
  }
  std::copy(star.begin(), star.end(),
            positional.begin() + static_cast<std::ptrdiff_t>(node.positional.size()));
  const size_t spread_size = mapping.given() ? mapping.dict->entries.size() : 0;
  const size_t count = node.named.size() + spread_size + (caller == nullptr ? 0 : 1);
  ASSIGN_OR_RETURN(const std::span<Arguments::Named> named,
                   runtime_.array<Arguments::Named>(count));
  size_t used = 0;
  for (const CallArguments::Named& argument : node.named) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*argument.value));
    named[used++] = {argument.name, value};
  }
  if (caller != nullptr) named[used++] = {"caller", *caller};
  if (mapping.given()) RETURN_IF_ERROR(spread(mapping, named, used));
  return Arguments{positional, named};
}

// The entries of a dict as named arguments.
Status Interpreter::spread(const Value& mapping, std::span<Arguments::Named> into, size_t& used) {
  const size_t explicit_ones = used;
  for (const Entry& entry : mapping.dict->entries) {
    if (!entry.key.is(Kind::string))
      return fail("names of arguments must be strings, not {}", type_name(entry.key));
    for (const Arguments::Named& other : into.first(explicit_ones)) {
      if (other.name == entry.key.text()) return fail("argument '{}' is given twice", other.name);
    }
    into[used++] = {entry.key.text(), entry.value};
  }
  return {};
}

}  // namespace bessemer::jinja
