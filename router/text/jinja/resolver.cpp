// Jinja2 compiles a template to Python and decides there, once and for all, which variable a name
// means: a block that sets a name has its own copy of it from the beginning, one that only reads it
// shares the outer one. These are those rules.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "router/text/jinja/ast.h"
#include "router/text/jinja/parser.h"
#include "router/text/jinja/runtime.h"
#include "router/text/jinja/walk.h"

namespace bessemer::jinja {
namespace {

struct Place {
  uint16_t hops, slot;
};

// What is known about the names of one frame while its statements are gone through in order.
class Symbols {
 public:
  Symbols(const Symbols* outer, std::map<std::string_view, uint16_t>& slots)
      : outer_(outer), slots_(&slots) {}

  std::optional<Place> find(std::string_view name) const {
    if (loads_.contains(name)) return Place{0, slots_->at(name)};
    std::optional<Place> place = outer_ == nullptr ? std::nullopt : outer_->find(name);
    if (place) ++place->hops;
    return place;
  }

  void declare(std::string_view name) {
    stores_.insert(name);
    define(name, {Load::parameter, {}});
  }
  void load(std::string_view name) {
    if (!find(name)) define(name, {Load::context, {}});
  }
  void store(std::string_view name) {
    stores_.insert(name);
    if (loads_.contains(name)) return;
    if (const std::optional<Place> place = find(name)) {
      define(name, {Load::outer, *place});
    } else {
      define(name, {Load::unset, {}});
    }
  }

  // Takes over what alternative branches did, each of which began as a copy of this. A name that
  // only some of them set keeps its former meaning in the others.
  void merge(const std::vector<Symbols>& branches) {
    std::set<std::string_view> set_in_branches;
    for (const Symbols& branch : branches)
      set_in_branches.insert(branch.stores_.begin(), branch.stores_.end());
    for (const std::string_view name : stores_) set_in_branches.erase(name);
    for (const Symbols& branch : branches) {
      for (const auto& [name, how] : branch.loads_) loads_[name] = how;
      stores_.insert(branch.stores_.begin(), branch.stores_.end());
    }
    for (const std::string_view name : set_in_branches) {
      const std::optional<Place> place = outer_ == nullptr ? std::nullopt : outer_->find(name);
      loads_[name] = place
                         ? Load{Load::outer, {static_cast<uint16_t>(place->hops + 1), place->slot}}
                         : Load{Load::context, {}};
    }
  }

  struct Load {
    enum How { parameter, context, outer, unset } how;
    Place place;
  };
  const std::map<std::string_view, Load>& loads() const { return loads_; }
  uint16_t slot(std::string_view name) const { return slots_->at(name); }

 private:
  void define(std::string_view name, Load load) {
    slots_->emplace(name, static_cast<uint16_t>(slots_->size()));
    loads_[name] = load;
  }

  const Symbols* outer_;
  std::map<std::string_view, uint16_t>* slots_;  // of the frame; branches share them
  std::map<std::string_view, Load> loads_;
  std::set<std::string_view> stores_;
};

// One frame under construction: its symbols and the slots they share with their branches.
struct Draft {
  explicit Draft(const Symbols* outer) : symbols(outer, slots) {}
  std::map<std::string_view, uint16_t> slots;
  Symbols symbols;
};

class Resolver {
 public:
  explicit Resolver(Program& program) : program_(program) {}

  Status run() {
    Draft draft(nullptr);
    read(program_.body, draft.symbols);
    RETURN_IF_ERROR(bind(program_.body, draft.symbols));
    return finish(draft, program_.frame);
  }

 private:
  // First pass over a frame: which names it reads and sets. It stops at inner frames.
  void read(Block block, Symbols& symbols);
  void read(const Statement& statement, Symbols& symbols);
  void read(const Expression* expression, Symbols& symbols);
  void read_if(const IfStatement& node, Symbols& symbols);
  void set(const Target& target, Symbols& symbols);
  void declare(const Target& target, Symbols& symbols);

  // Second pass: every name gets its place; inner frames are resolved.
  Status bind(Block block, const Symbols& symbols);
  Status bind(Statement& statement, const Symbols& symbols);
  void bind(Expression* expression, const Symbols& symbols);
  void bind(const Target& target, const Symbols& symbols);
  Status bind_if(IfStatement& node, const Symbols& symbols);
  Status bind_for(ForStatement& node, const Symbols& symbols);
  Status bind_macro(MacroBody& macro, size_t offset, const Symbols& symbols);
  Status bind_set_block(SetBlock& node, const Symbols& symbols);
  Status bind_with(WithStatement& node, const Symbols& symbols);
  Status bind_block(Block body, Expression* filters, Frame& frame, const Symbols& symbols);

  Status finish(const Draft& draft, Frame& frame);
  uint16_t context_index(std::string_view name);
  Target copy(const Target& target);

  Program& program_;
  std::map<std::string_view, uint16_t> context_;
};

void Resolver::read(Block block, Symbols& symbols) {
  for (const Statement* const statement : block) read(*statement, symbols);
}

void Resolver::read(const Expression* expression, Symbols& symbols) {
  for_each_name(expression, [&](const Name& name) { symbols.load(name.name); });
}

void Resolver::read(const Statement& statement, Symbols& symbols) {
  switch (statement.kind) {
    case StatementKind::print:
      for (const Expression* const value : as<PrintStatement>(statement).values)
        read(value, symbols);
      return;
    case StatementKind::set:
      read(as<SetStatement>(statement).value, symbols);
      return set(as<SetStatement>(statement).target, symbols);
    case StatementKind::set_block:
      return set(as<SetBlock>(statement).target, symbols);
    case StatementKind::if_else:
      return read_if(as<IfStatement>(statement), symbols);
    case StatementKind::for_loop:
      return read(as<ForStatement>(statement).iterable, symbols);
    case StatementKind::macro:
      return set(as<MacroStatement>(statement).target, symbols);
    case StatementKind::call_block:
      return read(as<CallBlock>(statement).call, symbols);
    case StatementKind::filter_block:
      return read(as<FilterBlock>(statement).filters, symbols);
    case StatementKind::with:
      for (const Expression* const value : as<WithStatement>(statement).values)
        read(value, symbols);
      return;
    default:
      return;
  }
}

void Resolver::read_if(const IfStatement& node, Symbols& symbols) {
  // An elif is an if within the else: its test is read where the branches before it left off.
  read(node.branches[0].test, symbols);
  std::vector<Symbols> branches{symbols};
  read(node.branches[0].body, branches.back());
  branches.push_back(symbols);
  for (const IfStatement::Branch& branch : node.branches.subspan(1)) {
    Symbols& before = branches[1];
    read(branch.test, before);
    std::vector<Symbols> inner{before};
    read(branch.body, inner.back());
    before.merge(inner);
  }
  branches.push_back(symbols);
  read(node.otherwise, branches.back());
  symbols.merge(branches);
}

void Resolver::set(const Target& target, Symbols& symbols) {
  for (const Target& part : target.parts) set(part, symbols);
  if (target.name == nullptr) return;
  if (target.attribute.empty()) {
    symbols.store(target.name->name);
  } else {
    symbols.load(target.name->name);
  }
}

void Resolver::declare(const Target& target, Symbols& symbols) {
  for (const Target& part : target.parts) declare(part, symbols);
  if (target.name != nullptr) symbols.declare(target.name->name);
}

void Resolver::bind(Expression* expression, const Symbols& symbols) {
  for_each_name(expression, [&](Name& name) {
    const Place place = *symbols.find(name.name);
    name.hops = place.hops;
    name.slot = place.slot;
  });
}

void Resolver::bind(const Target& target, const Symbols& symbols) {
  for (const Target& part : target.parts) bind(part, symbols);
  if (target.name != nullptr) bind(target.name, symbols);
}

Status Resolver::bind(Block block, const Symbols& symbols) {
  for (Statement* const statement : block) RETURN_IF_ERROR(bind(*statement, symbols));
  return {};
}

Status Resolver::bind(Statement& statement, const Symbols& symbols) {
  switch (statement.kind) {
    case StatementKind::print:
      for (Expression* const value : as<PrintStatement>(statement).values) bind(value, symbols);
      return {};
    case StatementKind::set:
      bind(as<SetStatement>(statement).value, symbols);
      bind(as<SetStatement>(statement).target, symbols);
      return {};
    case StatementKind::set_block:
      return bind_set_block(as<SetBlock>(statement), symbols);
    case StatementKind::if_else:
      return bind_if(as<IfStatement>(statement), symbols);
    case StatementKind::for_loop:
      return bind_for(as<ForStatement>(statement), symbols);
    case StatementKind::macro:
      bind(as<MacroStatement>(statement).target, symbols);
      return bind_macro(*as<MacroStatement>(statement).macro, statement.offset, symbols);
    case StatementKind::call_block:
      bind(as<CallBlock>(statement).call, symbols);
      return bind_macro(*as<CallBlock>(statement).macro, statement.offset, symbols);
    case StatementKind::filter_block: {
      auto& node = as<FilterBlock>(statement);
      return bind_block(node.body, node.filters, node.frame, symbols);
    }
    case StatementKind::with:
      return bind_with(as<WithStatement>(statement), symbols);
    case StatementKind::generation:
      return bind_block(as<GenerationBlock>(statement).body, nullptr,
                        as<GenerationBlock>(statement).frame, symbols);
    default:
      return {};
  }
}

Status Resolver::bind_if(IfStatement& node, const Symbols& symbols) {
  for (const IfStatement::Branch& branch : node.branches) {
    bind(branch.test, symbols);
    RETURN_IF_ERROR(bind(branch.body, symbols));
  }
  return bind(node.otherwise, symbols);
}

Status Resolver::bind_for(ForStatement& node, const Symbols& symbols) {
  if (stores_name(node, "loop")) {
    return fail("{}: 'loop' cannot be assigned to within a loop",
                position(program_.source, node.offset));
  }
  bind(node.iterable, symbols);
  Draft body(&symbols);
  if (node.recursive || mentions(node.body, "loop")) body.symbols.declare("loop");
  declare(node.target, body.symbols);
  read(node.body, body.symbols);
  bind(node.target, body.symbols);
  RETURN_IF_ERROR(bind(node.body, body.symbols));
  if (const auto loop = body.slots.find("loop"); loop != body.slots.end())
    node.loop_slot = loop->second;
  RETURN_IF_ERROR(finish(body, node.body_frame));
  if (node.test != nullptr) {
    Draft test(&symbols);
    node.test_target = copy(node.target);
    declare(node.test_target, test.symbols);
    read(node.test, test.symbols);
    bind(node.test_target, test.symbols);
    bind(node.test, test.symbols);
    RETURN_IF_ERROR(finish(test, node.test_frame));
  }
  return bind_block(node.otherwise, nullptr, node.else_frame, symbols);
}

Status Resolver::bind_macro(MacroBody& macro, size_t offset, const Symbols& symbols) {
  Draft draft(&symbols);
  for (const MacroBody::Parameter& parameter : macro.parameters)
    draft.symbols.declare(parameter.name);
  for (const MacroBody::Parameter& parameter : macro.parameters) {
    if (parameter.default_value != nullptr) read(parameter.default_value, draft.symbols);
  }
  const auto special = [&](std::string_view name) -> int {
    const auto same = [&](const MacroBody::Parameter& parameter) { return parameter.name == name; };
    const bool explicit_one = std::ranges::any_of(macro.parameters, same);
    if (explicit_one || !mentions(macro.body, name)) return -1;
    draft.symbols.declare(name);
    return draft.symbols.slot(name);
  };
  macro.caller_slot = special("caller");
  macro.kwargs_slot = special("kwargs");
  macro.varargs_slot = special("varargs");
  read(macro.body, draft.symbols);
  for (MacroBody::Parameter& parameter : macro.parameters) {
    parameter.slot = draft.symbols.slot(parameter.name);
    if (parameter.default_value != nullptr) {
      bind(parameter.default_value, draft.symbols);
    } else if (parameter.name == "caller" && mentions(macro.body, "caller")) {
      return fail("{}: the parameter 'caller' needs a default", position(program_.source, offset));
    }
    macro.explicit_caller |= parameter.name == "caller";
  }
  RETURN_IF_ERROR(bind(macro.body, draft.symbols));
  return finish(draft, macro.frame);
}

Status Resolver::bind_set_block(SetBlock& node, const Symbols& symbols) {
  bind(node.target, symbols);
  return bind_block(node.body, node.filters, node.frame, symbols);
}

Status Resolver::bind_with(WithStatement& node, const Symbols& symbols) {
  for (Expression* const value : node.values) bind(value, symbols);
  Draft draft(&symbols);
  for (const Target& target : node.targets) declare(target, draft.symbols);
  read(node.body, draft.symbols);
  for (const Target& target : node.targets) bind(target, draft.symbols);
  RETURN_IF_ERROR(bind(node.body, draft.symbols));
  return finish(draft, node.frame);
}

Status Resolver::bind_block(Block body, Expression* filters, Frame& frame, const Symbols& symbols) {
  Draft draft(&symbols);
  read(body, draft.symbols);
  if (filters != nullptr) read(filters, draft.symbols);
  RETURN_IF_ERROR(bind(body, draft.symbols));
  if (filters != nullptr) bind(filters, draft.symbols);
  return finish(draft, frame);
}

uint16_t Resolver::context_index(std::string_view name) {
  const auto [known, added] =
      context_.emplace(name, static_cast<uint16_t>(program_.context_names.size()));
  if (added) program_.context_names.push_back(name);
  return known->second;
}

Status Resolver::finish(const Draft& draft, Frame& frame) {
  constexpr size_t kMaxSlots = 65535;
  std::vector<Frame::Initial> initials;
  for (const auto& [name, load] : draft.symbols.loads()) {
    const uint16_t slot = draft.slots.at(name);
    if (load.how == Symbols::Load::outer) {
      initials.push_back({Frame::Source::outer, slot, load.place.hops, load.place.slot});
    } else if (load.how == Symbols::Load::context) {
      initials.push_back({Frame::Source::context, slot, 0, context_index(name)});
    } else if (load.how == Symbols::Load::unset) {
      initials.push_back({Frame::Source::unset, slot, 0, 0});
    }
  }
  if (draft.slots.size() > kMaxSlots || program_.context_names.size() > kMaxSlots) {
    return fail("the template uses more than {} variables", kMaxSlots);
  }
  frame.slots = static_cast<uint16_t>(draft.slots.size());
  frame.initials = program_.keep(initials);
  return {};
}

Target Resolver::copy(const Target& target) {
  if (target.name != nullptr) return {.name = program_.make(*target.name)};
  std::vector<Target> parts;
  for (const Target& part : target.parts) parts.push_back(copy(part));
  return {.parts = program_.keep(parts)};
}

}  // namespace

Status resolve(Program& program) {
  return Resolver(program).run();
}

}  // namespace bessemer::jinja
