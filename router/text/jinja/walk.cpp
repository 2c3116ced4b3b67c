#include "router/text/jinja/walk.h"

#include <optional>

namespace bessemer::jinja {
namespace {

using Visit = std::function<void(Name&)>;

void walk(Expression* node, const Visit& visit);

void walk(const CallArguments& arguments, const Visit& visit) {
  for (Expression* const value : arguments.positional) walk(value, visit);
  for (const CallArguments::Named& named : arguments.named) walk(named.value, visit);
  walk(arguments.star, visit);
  walk(arguments.double_star, visit);
}

template <typename Chain>
void walk_chain(Chain& node, const Visit& visit) {
  walk(node.first, visit);
  for (const auto& step : node.steps) walk(step.operand, visit);
}

template <typename T>
T& to(Expression& node) {
  return static_cast<T&>(node);
}

// Names of an expression with more than operands.
void walk_call(Expression& node, const Visit& visit) {
  if (node.kind == ExpressionKind::call) {
    walk(to<Call>(node).callee, visit);
    return walk(to<Call>(node).arguments, visit);
  }
  walk(to<Application>(node).object, visit);
  walk(to<Application>(node).arguments, visit);
}

void walk_slice(SliceItem& node, const Visit& visit) {
  for (Expression* const part : {node.object, node.start, node.stop, node.step}) walk(part, visit);
}

void walk(Expression* node, const Visit& visit) {
  if (node == nullptr) return;
  switch (node->kind) {
    case ExpressionKind::constant:
      return;
    case ExpressionKind::name:
      return visit(to<Name>(*node));
    case ExpressionKind::list:
    case ExpressionKind::tuple:
      for (Expression* const item : to<Display>(*node).items) walk(item, visit);
      return;
    case ExpressionKind::dict:
      for (const DictDisplay::Pair& pair : to<DictDisplay>(*node).pairs) {
        walk(pair.key, visit);
        walk(pair.value, visit);
      }
      return;
    case ExpressionKind::attribute:
      return walk(to<Attribute>(*node).object, visit);
    case ExpressionKind::item:
      walk(to<Item>(*node).object, visit);
      return walk(to<Item>(*node).key, visit);
    case ExpressionKind::slice:
      return walk_slice(to<SliceItem>(*node), visit);
    case ExpressionKind::call:
    case ExpressionKind::filter:
    case ExpressionKind::test:
      return walk_call(*node, visit);
    case ExpressionKind::negate:
    case ExpressionKind::plus:
    case ExpressionKind::negation:
      return walk(to<Unary>(*node).operand, visit);
    case ExpressionKind::arithmetic:
      return walk_chain(to<Arithmetic>(*node), visit);
    case ExpressionKind::comparison:
      return walk_chain(to<ComparisonChain>(*node), visit);
    case ExpressionKind::concatenation:
    case ExpressionKind::conjunction:
    case ExpressionKind::disjunction:
      for (Expression* const operand : to<Operands>(*node).operands) walk(operand, visit);
      return;
    case ExpressionKind::conditional:
      walk(to<Conditional>(*node).test, visit);
      walk(to<Conditional>(*node).then, visit);
      return walk(to<Conditional>(*node).otherwise, visit);
  }
}

// Every use of a name in statements, inner blocks included, in Jinja2's order of fields.
class UseScanner {
 public:
  using Use = std::function<void(std::string_view name, bool stores)>;
  explicit UseScanner(Use use) : use_(std::move(use)) {}

  void scan(Block block) {
    for (const Statement* const statement : block) scan(*statement);
  }
  void scan(const ForStatement& node) {
    scan(node.target);
    scan(node.iterable);
    scan(node.body);
    scan(node.otherwise);
    scan(node.test);
  }

 private:
  void scan(const Expression* expression) {
    for_each_name(expression, [&](const Name& name) { use_(name.name, false); });
  }
  void scan(Expressions expressions) {
    for (const Expression* const expression : expressions) scan(expression);
  }
  void scan(const Target& target) {
    for (const Target& part : target.parts) scan(part);
    if (target.name != nullptr) use_(target.name->name, target.attribute.empty());
  }
  void scan(const MacroBody& macro) {
    for (const MacroBody::Parameter& parameter : macro.parameters) use_(parameter.name, true);
    for (const MacroBody::Parameter& parameter : macro.parameters) scan(parameter.default_value);
    scan(macro.body);
  }
  void scan(const IfStatement& node) {
    for (const IfStatement::Branch& branch : node.branches) {
      scan(branch.test);
      scan(branch.body);
    }
    scan(node.otherwise);
  }
  void scan(const WithStatement& node) {
    for (const Target& target : node.targets) scan(target);
    scan(node.values);
    scan(node.body);
  }
  void scan(const SetBlock& node) {
    scan(node.target);
    scan(node.filters);
    scan(node.body);
  }
  void scan(const Statement& statement);

  Use use_;
};

void UseScanner::scan(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::print:
      return scan(as<PrintStatement>(statement).values);
    case StatementKind::set:
      scan(as<SetStatement>(statement).target);
      return scan(as<SetStatement>(statement).value);
    case StatementKind::set_block:
      return scan(as<SetBlock>(statement));
    case StatementKind::if_else:
      return scan(as<IfStatement>(statement));
    case StatementKind::for_loop:
      return scan(as<ForStatement>(statement));
    case StatementKind::macro:
      return scan(*as<MacroStatement>(statement).macro);
    case StatementKind::call_block:
      scan(static_cast<const Expression*>(as<CallBlock>(statement).call));
      return scan(*as<CallBlock>(statement).macro);
    case StatementKind::filter_block:
      scan(as<FilterBlock>(statement).body);
      return scan(as<FilterBlock>(statement).filters);
    case StatementKind::with:
      return scan(as<WithStatement>(statement));
    case StatementKind::generation:
      return scan(as<GenerationBlock>(statement).body);
    default:
      return;
  }
}

}  // namespace

void for_each_name(Expression* expression, const std::function<void(Name&)>& visit) {
  walk(expression, visit);
}

void for_each_name(const Expression* expression, const std::function<void(const Name&)>& visit) {
  // Nothing is changed: the visitor sees constants.
  walk(const_cast<Expression*>(expression), [&](Name& name) { visit(name); });
}

bool mentions(Block block, std::string_view name) {
  std::optional<bool> first_use_reads;
  UseScanner([&](std::string_view used, bool stores) {
    if (used == name && !first_use_reads) first_use_reads = !stores;
  }).scan(block);
  return first_use_reads.value_or(false);
}

bool stores_name(const ForStatement& loop, std::string_view name) {
  bool found = false;
  UseScanner([&](std::string_view used, bool stores) {
    found |= stores && used == name;
  }).scan(loop);
  return found;
}

}  // namespace bessemer::jinja
