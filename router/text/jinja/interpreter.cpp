#include "router/text/jinja/interpreter.h"

#include "router/text/jinja/builtins.h"
#include "router/text/jinja/loop.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/walk.h"

namespace bessemer::jinja {

// The items of a loop that pass its test. The test runs when the loop wants the next item, not
// before.
class Interpreter::TestedIterator final : public Iterator {
 public:
  TestedIterator(Interpreter& interpreter, const ForStatement& node, Iterator* source, Scope* scope)
      : interpreter_(&interpreter), node_(&node), source_(source), scope_(scope) {}

  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    while (true) {
      ASSIGN_OR_RETURN(const bool more, source_->next(runtime, out));
      if (!more) return false;
      interpreter_->initialise(node_->test_frame, *scope_);
      Scope* const outer = std::exchange(interpreter_->scope_, scope_);
      Status assigned = interpreter_->assign(node_->test_target, out);
      interpreter_->scope_ = outer;
      RETURN_IF_ERROR(assigned);
      ASSIGN_OR_RETURN(const Value passes, interpreter_->evaluate_in(scope_, *node_->test));
      if (!truthy(passes)) continue;
      ASSIGN_OR_RETURN(out, assembled(runtime, node_->test_target));
      return true;
    }
  }

 private:
  // The item as Jinja2 hands it on: an unpacked one comes as a tuple.
  StatusOr<Value> assembled(Runtime& runtime, const Target& target) const {
    if (target.name != nullptr) return scope_->slots[target.name->slot];
    std::vector<Value> parts;
    for (const Target& part : target.parts) {
      ASSIGN_OR_RETURN(const Value value, assembled(runtime, part));
      parts.push_back(value);
    }
    return runtime.tuple(parts);
  }

  Interpreter* interpreter_;
  const ForStatement* node_;
  Iterator* source_;
  Scope* scope_;
};

Status Interpreter::Level::check() const {
  if (depth_ <= kMaxEvaluationDepth) [[likely]]
    return {};
  return absl::ResourceExhaustedError(
      fmt::format("macros or loops call each other more than {} levels deep", kMaxEvaluationDepth));
}

Interpreter::Interpreter(const Program& program, Runtime& runtime, const Dict& variables)
    : program_(program), runtime_(runtime) {
  for (const std::string_view name : program.context_names) {
    Value value;
    if (const Value* const variable = variables.find(name)) {
      value = *variable;
    } else if (const Native* const global = find_global(name)) {
      value = bind(runtime, *global, {});
    }
    context_.push_back(value);
  }
}

StatusOr<std::string> Interpreter::run() {
  TextBuilder out(runtime_.limits().output_bytes);
  out_ = &out;
  Status status;
  if (StatusOr<Scope*> root = enter(program_.frame, nullptr); root.ok()) {
    status = run_in(*root, program_.body).status();
  } else {
    status = root.status();
  }
  if (status.ok() && out.full()) {
    status = absl::ResourceExhaustedError(fmt::format("the rendered text has more than {} MiB",
                                                      runtime_.limits().output_bytes >> 20));
  }
  if (status.ok()) return out.release();
  return annotate(status, position(program_.source, failed_at_.value_or(0)));
}

StatusOr<Scope*> Interpreter::enter(const Frame& frame, Scope* outer) {
  ASSIGN_OR_RETURN(const std::span<Value> slots, runtime_.array<Value>(frame.slots));
  Scope* const scope = runtime_.make(Scope{outer, slots});
  initialise(frame, *scope);
  return scope;
}

void Interpreter::initialise(const Frame& frame, Scope& scope) {
  for (const Frame::Initial& initial : frame.initials) {
    Value& target = scope.slots[initial.slot];
    if (initial.source == Frame::Source::unset) {
      target = {};
    } else if (initial.source == Frame::Source::context) {
      target = context_[initial.from];
    } else {
      const Scope* from = &scope;
      for (int hop = 0; hop < initial.hops; ++hop) from = from->outer;
      target = from->slots[initial.from];
    }
  }
}

StatusOr<Interpreter::Flow> Interpreter::run_in(Scope* scope, Block block, TextBuilder* text) {
  Scope* const outer_scope = std::exchange(scope_, scope);
  TextBuilder* const outer_out = text == nullptr ? out_ : std::exchange(out_, text);
  StatusOr<Flow> flow = run(block);
  scope_ = outer_scope;
  out_ = outer_out;
  return flow;
}

StatusOr<Interpreter::Flow> Interpreter::run(Block block) {
  for (const Statement* const statement : block) {
    if (statement->kind == StatementKind::text) {
      const std::string_view text = as<TextStatement>(*statement).text;
      RETURN_IF_ERROR(runtime_.charge_bytes(text.size()));
      out_->add(text);
      continue;
    }
    ASSIGN_OR_RETURN(const Flow flow, run(*statement));
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

StatusOr<Interpreter::Flow> Interpreter::run(const Statement& statement) {
  const Level level(*this);
  Status status = level.check();
  if (status.ok()) status = runtime_.charge();
  StatusOr<Flow> flow = status.ok() ? run_here(statement) : StatusOr<Flow>(status);
  if (!flow.ok() && !failed_at_) failed_at_ = statement.offset;
  return flow;
}

StatusOr<Interpreter::Flow> Interpreter::run_here(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::print:
      RETURN_IF_ERROR(print(as<PrintStatement>(statement)));
      return Flow::next;
    case StatementKind::set:
      RETURN_IF_ERROR(set(as<SetStatement>(statement)));
      return Flow::next;
    case StatementKind::set_block:
      return run_set_block(as<SetBlock>(statement));
    case StatementKind::if_else:
      return run_if(as<IfStatement>(statement));
    case StatementKind::for_loop:
      return run_for(as<ForStatement>(statement));
    case StatementKind::macro: {
      const auto& node = as<MacroStatement>(statement);
      const Macro macro{node.macro, scope_};
      RETURN_IF_ERROR(assign(node.target, {.kind = Kind::macro, .macro = runtime_.make(macro)}));
      return Flow::next;
    }
    case StatementKind::call_block:
      RETURN_IF_ERROR(run_call_block(as<CallBlock>(statement)));
      return Flow::next;
    case StatementKind::filter_block:
      return run_filter_block(as<FilterBlock>(statement));
    case StatementKind::with:
      return run_with(as<WithStatement>(statement));
    case StatementKind::generation: {
      const auto& node = as<GenerationBlock>(statement);
      ASSIGN_OR_RETURN(Scope* const scope, enter(node.frame, scope_));
      return run_in(scope, node.body);
    }
    case StatementKind::break_loop:
      return Flow::break_loop;
    case StatementKind::continue_loop:
      return Flow::continue_loop;
    case StatementKind::text:
      break;
  }
  return Flow::next;
}

Status Interpreter::print(const PrintStatement& node) {
  for (const Expression* const expression : node.values) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*expression));
    RETURN_IF_ERROR(write_str(runtime_, *out_, value));
  }
  if (!out_->full()) return {};
  return absl::ResourceExhaustedError("the rendered text is too long");
}

StatusOr<Interpreter::Flow> Interpreter::run_if(const IfStatement& node) {
  for (const IfStatement::Branch& branch : node.branches) {
    ASSIGN_OR_RETURN(const Value test, evaluate(*branch.test));
    if (truthy(test)) return run(branch.body);
  }
  return run(node.otherwise);
}

StatusOr<Interpreter::Flow> Interpreter::run_with(const WithStatement& node) {
  ASSIGN_OR_RETURN(Scope* const scope, enter(node.frame, scope_));
  for (size_t i = 0; i < node.targets.size(); ++i) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*node.values[i]));
    Scope* const outer = std::exchange(scope_, scope);
    const Status assigned = assign(node.targets[i], value);
    scope_ = outer;
    RETURN_IF_ERROR(assigned);
  }
  return run_in(scope, node.body);
}

StatusOr<Interpreter::Flow> Interpreter::run_for(const ForStatement& node) {
  ASSIGN_OR_RETURN(const Value iterable, evaluate(*node.iterable));
  return run_loop(node, scope_, iterable, 0);
}

StatusOr<Interpreter::Flow> Interpreter::run_loop(const ForStatement& node, Scope* outer,
                                                  const Value& iterable, int depth0) {
  ASSIGN_OR_RETURN(Iterator * items, iterate(runtime_, iterable));
  Value source = iterable;
  if (node.test != nullptr) {
    ASSIGN_OR_RETURN(Scope* const scope, enter(node.test_frame, outer));
    items = runtime_.make(TestedIterator(*this, node, items, scope));
    source = iterator_value(items);
  }
  Loop* const loop =
      runtime_.make(Loop(source, items, depth0, node.recursive ? &node : nullptr, outer));
  ASSIGN_OR_RETURN(Scope* const scope, enter(node.body_frame, outer));
  bool completed =
      false;  // one turn ran to its end; as in Jinja2, break and continue leave the else to run
  for (Value item;;) {
    ASSIGN_OR_RETURN(const bool more, loop->advance(runtime_, item));
    if (!more) break;
    initialise(node.body_frame, *scope);
    if (node.loop_slot >= 0) {
      scope->slots[static_cast<size_t>(node.loop_slot)] = {.kind = Kind::loop, .loop = loop};
    }
    Scope* const before = std::exchange(scope_, scope);
    const Status assigned = assign(node.target, item);
    scope_ = before;
    RETURN_IF_ERROR(assigned);
    ASSIGN_OR_RETURN(const Flow flow, run_in(scope, node.body));
    if (flow == Flow::break_loop) break;
    completed |= flow == Flow::next;
  }
  if (completed || !node.has_else) return Flow::next;
  ASSIGN_OR_RETURN(Scope* const else_scope, enter(node.else_frame, outer));
  return run_in(else_scope, node.otherwise);
}

StatusOr<Interpreter::Flow> Interpreter::run_set_block(const SetBlock& node) {
  ASSIGN_OR_RETURN(Scope* const scope, enter(node.frame, scope_));
  TextBuilder text(runtime_);
  ASSIGN_OR_RETURN(const Flow flow, run_in(scope, node.body, &text));
  if (flow != Flow::next) return flow;
  ASSIGN_OR_RETURN(Value value, text.take(runtime_));
  if (node.filters != nullptr) {
    captured_ = value;
    ASSIGN_OR_RETURN(value, evaluate_in(scope, *node.filters));
  }
  RETURN_IF_ERROR(assign(node.target, value));
  return Flow::next;
}

StatusOr<Interpreter::Flow> Interpreter::run_filter_block(const FilterBlock& node) {
  ASSIGN_OR_RETURN(Scope* const scope, enter(node.frame, scope_));
  TextBuilder text(runtime_);
  ASSIGN_OR_RETURN(const Flow flow, run_in(scope, node.body, &text));
  if (flow != Flow::next) return flow;
  ASSIGN_OR_RETURN(captured_, text.take(runtime_));
  ASSIGN_OR_RETURN(const Value value, evaluate_in(scope, *node.filters));
  RETURN_IF_ERROR(write_str(runtime_, *out_, value));
  return Flow::next;
}

Status Interpreter::run_call_block(const CallBlock& node) {
  const Value caller{.kind = Kind::macro, .macro = runtime_.make(Macro{node.macro, scope_})};
  ASSIGN_OR_RETURN(const Value value, call(*node.call, &caller));
  return write_str(runtime_, *out_, value);
}

Status Interpreter::set(const SetStatement& node) {
  RETURN_IF_ERROR(check_namespaces(node.target));
  ASSIGN_OR_RETURN(const Value value, evaluate(*node.value));
  return assign(node.target, value);
}

Status Interpreter::check_namespaces(const Target& target) {
  for (const Target& part : target.parts) RETURN_IF_ERROR(check_namespaces(part));
  if (target.attribute.empty() || slot(*target.name).is(Kind::name_space)) return {};
  return fail("cannot set '{}.{}': only a namespace has attributes that can be set",
              target.name->name, target.attribute);
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.name != nullptr) {
    Value& place = slot(*target.name);
    if (target.attribute.empty()) {
      place = value;
      return {};
    }
    if (!place.is(Kind::name_space)) return check_namespaces(target);
    return place.space->set(runtime_, target.attribute, value);
  }
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime_, value));
  if (items.size() != target.parts.size()) {
    return fail("cannot unpack {} value(s) into {} names", items.size(), target.parts.size());
  }
  for (size_t i = 0; i < items.size(); ++i) RETURN_IF_ERROR(assign(target.parts[i], items[i]));
  return {};
}

Value& Interpreter::slot(const Name& name) const {
  Scope* scope = scope_;
  for (int hop = 0; hop < name.hops; ++hop) scope = scope->outer;
  return scope->slots[name.slot];
}

}  // namespace bessemer::jinja
