// Runs a program: statements write text, expressions give values.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "router/text/jinja/ast.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/objects.h"

namespace bessemer::jinja {

class Interpreter {
 public:
  // All outlive it. `variables`: what the template may read besides the globals.
  Interpreter(const Program& program, Runtime& runtime, const Dict& variables);

  // The rendered text. Errors name line and column.
  StatusOr<std::string> run();

 private:
  enum class Flow : uint8_t { next, break_loop, continue_loop };
  class TestedIterator;
  // One statement or expression under evaluation.
  class Level {
   public:
    explicit Level(Interpreter& interpreter) : depth_(interpreter.depth_) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    Status check() const;

   private:
    int& depth_;
  };

  StatusOr<Flow> run(Block block);
  StatusOr<Flow> run(const Statement& statement);
  StatusOr<Flow> run_here(const Statement& statement);
  Status print(const PrintStatement& node);
  StatusOr<Flow> run_if(const IfStatement& node);
  StatusOr<Flow> run_with(const WithStatement& node);
  StatusOr<Flow> run_for(const ForStatement& node);
  // depth0: how many calls of loop() this one is inside of. Returns break_loop or continue_loop
  // only out of an else.
  StatusOr<Flow> run_loop(const ForStatement& node, Scope* outer, const Value& iterable,
                          int depth0);
  StatusOr<Flow> run_set_block(const SetBlock& node);
  StatusOr<Flow> run_filter_block(const FilterBlock& node);
  Status run_call_block(const CallBlock& node);
  Status set(const SetStatement& node);

  // A scope for `frame` within `outer`, its initial values set.
  StatusOr<Scope*> enter(const Frame& frame, Scope* outer);
  void initialise(const Frame& frame, Scope& scope);
  // Runs `block` in `scope`. With `text`, what it writes goes there instead of to the output.
  StatusOr<Flow> run_in(Scope* scope, Block block, TextBuilder* text = nullptr);

  StatusOr<Value> evaluate(const Expression& node);
  StatusOr<Value> evaluate_here(const Expression& node);
  StatusOr<Value> evaluate_in(Scope* scope, const Expression& node);
  Value read(const Name& name) const;
  StatusOr<Value> display(const Display& node);
  StatusOr<Value> dict(const DictDisplay& node);
  StatusOr<Value> slice(const SliceItem& node);
  StatusOr<Value> arithmetic(const Arithmetic& node);
  StatusOr<Value> add_texts(const Arithmetic& node, const Value& first, size_t& used);
  StatusOr<Value> compare_chain(const ComparisonChain& node);
  StatusOr<Value> concatenate(const Operands& node);
  StatusOr<Value> logic(const Operands& node, bool stop_at);
  StatusOr<Value> conditional(const Conditional& node);
  StatusOr<Value> apply(const Application& node);
  StatusOr<Value> call(const Call& node, const Value* caller = nullptr);

  StatusOr<Arguments> arguments(const CallArguments& node, const Value* caller = nullptr);
  Status spread(const Value& mapping, std::span<Arguments::Named> into, size_t& used);
  StatusOr<Value> call_value(const Value& callee, const Arguments& given);
  StatusOr<Value> call_macro(const Macro& macro, const Arguments& given);
  Status bind_parameters(const MacroBody& body, const Arguments& given, Scope& scope,
                         size_t& bound);
  Status bind_rest(const MacroBody& body, const Arguments& given, Scope& scope);
  StatusOr<Value> call_loop(Loop& loop, const Arguments& given);

  Status check_namespaces(const Target& target);
  Status assign(const Target& target, const Value& value);
  Value& slot(const Name& name) const;

  const Program& program_;
  Runtime& runtime_;
  std::vector<Value> context_;  // by Program::context_names
  Scope* scope_ = nullptr;
  TextBuilder* out_ = nullptr;
  Value captured_;  // what the filters of a block are applied to
  int depth_ = 0;
  std::optional<uint32_t> failed_at_;  // offset of the node that failed first
};

}  // namespace bessemer::jinja
