// What a macro or a call block is made of, and the frames that blocks keep their variables in.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "router/text/jinja/value.h"

namespace bessemer::jinja {

struct Expression;
struct Statement;
using Block = std::span<Statement* const>;

// The variables of one block: which slots there are and what they hold on entry. Jinja2 decides
// this at compile time, by which names a block reads and sets; so does the resolver.
struct Frame {
  enum class Source : uint8_t {
    context,  // the variable or global of that name
    outer,    // a slot of an outer scope
    unset,
  };
  struct Initial {
    Source source;
    uint16_t slot;
    uint16_t hops, from;  // outer: slot `from`, `hops` steps outwards; context: `from` is its index
  };
  uint16_t slots = 0;
  std::span<const Initial> initials;
};

// The variables while a block runs.
struct Scope {
  Scope* outer;
  std::span<Value> slots;
};

struct MacroBody {
  struct Parameter {
    std::string_view name;
    Expression* default_value;  // null: none
    int slot = -1;
  };
  std::string_view name;  // empty: a call block
  std::span<Parameter> parameters;
  Block body;
  Frame frame;
  // Slots of the special variables; -1: the body does not mention them.
  int caller_slot = -1, kwargs_slot = -1, varargs_slot = -1;
  bool explicit_caller = false;  // "caller" is a parameter
};

}  // namespace bessemer::jinja
