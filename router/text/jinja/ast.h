// A parsed template. Nodes are plain structs in the memory of their Program; the resolver fills in
// where names live.
#pragma once
#include <cstdint>
#include <memory_resource>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "router/text/jinja/macro.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/value.h"

namespace bessemer::jinja {

struct Native;

enum class ExpressionKind : uint8_t {
  constant,
  name,
  list,
  tuple,
  dict,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
  negate,
  plus,
  negation,
  arithmetic,
  concatenation,
  comparison,
  conjunction,
  disjunction,
  conditional,
};

struct Expression {
  ExpressionKind kind;
  uint8_t depth;    // of the tree below; at most kMaxSyntaxDepth
  uint32_t offset;  // in the source
};
using Expressions = std::span<Expression* const>;

struct Constant : Expression {
  Value value;
};
// A variable: slot `slot` of the scope `hops` steps outwards.
struct Name : Expression {
  std::string_view name;
  uint16_t hops = 0, slot = 0;
};
struct Display : Expression {  // list, tuple
  Expressions items;
};
struct DictDisplay : Expression {
  struct Pair {
    Expression *key, *value;
  };
  std::span<const Pair> pairs;
};
struct Attribute : Expression {
  Expression* object;
  std::string_view name;
};
struct Item : Expression {
  Expression *object, *key;
};
struct SliceItem : Expression {
  Expression *object, *start, *stop, *step;  // the last three: null where left out
};
struct CallArguments {
  struct Named {
    std::string_view name;
    Expression* value;
  };
  Expressions positional;
  std::span<const Named> named;
  Expression *star = nullptr, *double_star = nullptr;  // f(*star, **double_star)
};
struct Call : Expression {
  Expression* callee;
  CallArguments arguments;
};
// A filter or a test.
struct Application : Expression {
  Expression* object;  // null: the text captured by a filter block or a set block
  std::string_view name;
  const Native* native;  // null: unknown; an error when reached
  CallArguments arguments;
};
struct Unary : Expression {
  Expression* operand;
};
struct Arithmetic : Expression {  // of one precedence, from left to right
  struct Step {
    Operator how;
    Expression* operand;
  };
  Expression* first;
  std::span<const Step> steps;
};
struct ComparisonChain : Expression {
  struct Step {
    Comparison how;
    Expression* operand;
  };
  Expression* first;
  std::span<const Step> steps;
};
struct Operands : Expression {  // concatenation, conjunction, disjunction
  Expressions operands;
};
struct Conditional : Expression {
  Expression *test, *then, *otherwise;  // the last: null where left out
};

enum class StatementKind : uint8_t {
  text,
  print,
  set,
  set_block,
  if_else,
  for_loop,
  macro,
  call_block,
  filter_block,
  with,
  generation,
  break_loop,
  continue_loop,
};

struct Statement {
  StatementKind kind;
  uint32_t offset;
};

// What is assigned to: a name, a namespace's attribute (name.attribute), or several of these.
struct Target {
  Name* name = nullptr;
  std::string_view attribute{};
  std::span<const Target> parts{};  // when `name` is null
};

struct TextStatement : Statement {
  std::string_view text;
};
struct PrintStatement : Statement {
  Expressions values;
};
struct SetStatement : Statement {
  Target target;
  Expression* value;
};
struct SetBlock : Statement {
  Target target;
  Expression* filters;  // applied to the text; null: none
  Block body;
  Frame frame;
};
struct IfStatement : Statement {
  struct Branch {
    Expression* test;
    Block body;
  };
  std::span<const Branch> branches;
  Block otherwise;
};
struct ForStatement : Statement {
  Target target{};
  Expression* iterable = nullptr;
  Expression* test = nullptr;  // null: none
  bool recursive = false;
  bool has_else = false;
  Block body{}, otherwise{};
  // The target's names again: the test runs in a scope of its own.
  Target test_target{};
  Frame body_frame{}, test_frame{}, else_frame{};
  int loop_slot = -1;
};
struct MacroStatement : Statement {
  Target target;
  MacroBody* macro;
};
struct CallBlock : Statement {
  Call* call;
  MacroBody* macro;
};
struct FilterBlock : Statement {
  Expression* filters;
  Block body;
  Frame frame;
};
struct WithStatement : Statement {
  std::span<const Target> targets;
  Expressions values;
  Block body;
  Frame frame;
};
struct GenerationBlock : Statement {  // marks what the model wrote; renders its body
  Block body;
  Frame frame;
};

// A whole template. Immutable once resolved.
struct Program {
  std::string_view source;
  Block body;
  Frame frame;
  // Names to be looked up among the variables and globals, once per rendering.
  std::vector<std::string_view> context_names;

  template <typename T>
  T* make(T initial) {
    static_assert(std::is_trivially_destructible_v<T>, "nobody will destroy it");
    return new (memory.allocate(sizeof(T), alignof(T))) T(std::move(initial));
  }
  template <typename T>
  std::span<const T> keep(const std::vector<T>& items) {
    static_assert(std::is_trivially_copyable_v<T>, "copied and never destroyed");
    T* const first = static_cast<T*>(memory.allocate(items.size() * sizeof(T) + 1, alignof(T)));
    std::uninitialized_copy(items.begin(), items.end(), first);
    return {first, items.size()};
  }
  std::string_view keep(std::string_view text) {
    char* const first = static_cast<char*>(memory.allocate(text.size() + 1, 1));
    std::copy(text.begin(), text.end(), first);
    return {first, text.size()};
  }

  std::pmr::monotonic_buffer_resource memory;
};

// "line 3, column 14", counted from 1 in characters.
std::string position(std::string_view source, size_t offset);

}  // namespace bessemer::jinja
