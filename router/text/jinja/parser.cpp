#include "router/text/jinja/parser.h"

#include <algorithm>

#include "router/text/jinja/expression_parser.h"
#include "router/text/jinja/runtime.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

class Parser final : ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Status run() {
    ASSIGN_OR_RETURN(program_.body, block({}));
    return refuse_unknown(0);
  }

 private:
  using Names = std::initializer_list<std::string_view>;
  using StatementOr = StatusOr<Statement*>;

  Statement head(StatementKind kind) const { return {kind, peek().offset}; }
  bool at_any(Names names) const {
    return std::ranges::any_of(names, [&](std::string_view name) { return at_name(name); });
  }

  // Statements up to a tag named one of `ends`, which is left to be read; up to the end of the
  // template if empty.
  StatusOr<Block> block(Names ends);
  // The same behind the rest of an opening tag.
  StatusOr<Block> body(Names ends);
  // The body of a block that ends with one tag, which is read too, and has variables of its own.
  StatusOr<Block> inner_body(std::string_view end, size_t known);
  StatusOr<Block> function_body(std::string_view end, size_t known);
  Status unclosed(Names ends) const;

  StatementOr print();
  StatementOr statement();
  StatementOr print_tag();
  StatementOr set();
  StatementOr if_else();
  StatementOr for_loop();
  StatementOr macro();
  StatementOr call_block();
  StatementOr filter_block();
  StatementOr with();
  StatementOr generation();
  StatementOr jump(StatementKind kind);
  Status refuse() const;

  StatusOr<Target> target(std::string_view end_name, bool with_namespace);
  StatusOr<Target> target_item(bool with_namespace);
  StatusOr<Target> target_of(Expression* node);
  StatusOr<Target> name_target();
  Status signature(MacroBody& macro);
  Status keep_parameters(MacroBody& macro, const std::vector<MacroBody::Parameter>& parameters);

  int loops_ = 0;            // around the current statement, within the same macro
  std::vector<Token> open_;  // tags that are not closed yet
};

StatusOr<Block> Parser::block(Names ends) {
  std::vector<Statement*> statements;
  while (!at_kind(TokenKind::end)) {
    Statement* next = nullptr;
    if (at_kind(TokenKind::data)) {
      const Statement node = head(StatementKind::text);
      next = program_.make(TextStatement{node, take().text});
    } else if (at_kind(TokenKind::print_begin)) {
      ASSIGN_OR_RETURN(next, print());
    } else {
      take();  // the begin of a tag: nothing else stands outside of one
      if (at_any(ends)) return program_.keep(statements);
      ASSIGN_OR_RETURN(next, statement());
      RETURN_IF_ERROR(expect_kind(TokenKind::block_end, "'%}'"));
    }
    statements.push_back(next);
  }
  if (ends.size() > 0) return unclosed(ends);
  return program_.keep(statements);
}

Status Parser::unclosed(Names ends) const {
  std::string wanted;
  for (const std::string_view end : ends)
    wanted += fmt::format("{}'{}'", wanted.empty() ? "" : " or ", end);
  const Token& tag = open_.back();
  return error(tag.offset, fmt::format("this '{}' is not closed: {} is missing", tag.text, wanted));
}

StatusOr<Block> Parser::body(Names ends) {
  skip_symbol(":");
  RETURN_IF_ERROR(expect_kind(TokenKind::block_end, "'%}'"));
  return block(ends);
}

StatusOr<Block> Parser::inner_body(std::string_view end, size_t known) {
  ASSIGN_OR_RETURN(const Block statements, body({end}));
  take();
  RETURN_IF_ERROR(refuse_unknown(known));
  return statements;
}

StatusOr<Block> Parser::function_body(std::string_view end, size_t known) {
  const int outer = std::exchange(loops_, 0);
  ASSIGN_OR_RETURN(const Block statements, inner_body(end, known));
  loops_ = outer;
  return statements;
}

Parser::StatementOr Parser::print() {
  const Statement node = head(StatementKind::print);
  take();
  ASSIGN_OR_RETURN(Expression* const value, tuple({}));
  RETURN_IF_ERROR(expect_kind(TokenKind::print_end, "'}}'"));
  return program_.make(PrintStatement{node, program_.keep(std::vector<Expression*>{value})});
}

Parser::StatementOr Parser::statement() {
  static constexpr std::pair<std::string_view, StatementOr (Parser::*)()> kTags[] = {
      {"if", &Parser::if_else},      {"for", &Parser::for_loop},
      {"set", &Parser::set},         {"macro", &Parser::macro},
      {"call", &Parser::call_block}, {"filter", &Parser::filter_block},
      {"with", &Parser::with},       {"generation", &Parser::generation},
      {"print", &Parser::print_tag}};
  const Nesting nesting(*this);
  RETURN_IF_ERROR(nesting.check());
  if (!at_kind(TokenKind::name))
    return error(peek().offset, "expected the name of a tag, got " + describe(peek()));
  if (at_name("break")) return jump(StatementKind::break_loop);
  if (at_name("continue")) return jump(StatementKind::continue_loop);
  for (const auto& [name, parse] : kTags) {
    if (!at_name(name)) continue;
    open_.push_back(peek());
    ASSIGN_OR_RETURN(Statement* const node, (this->*parse)());
    open_.pop_back();
    return node;
  }
  return refuse();
}

Status Parser::refuse() const {
  const Token& tag = peek();
  for (const std::string_view name : {"include", "import", "from", "extends", "block"}) {
    if (tag.text != name) continue;
    return error(tag.offset,
                 fmt::format("'{}' is not available: a chat template stands alone", name));
  }
  if (tag.text == "autoescape")
    return error(tag.offset, "'autoescape' is not available: prompts are not HTML");
  if (tag.text.starts_with("end") && !open_.empty()) {
    return error(tag.offset, fmt::format("'{}' does not close the '{}' that is open here", tag.text,
                                         open_.back().text));
  }
  return error(tag.offset, fmt::format("unknown tag '{}'", tag.text));
}

Parser::StatementOr Parser::print_tag() {
  const Statement node = head(StatementKind::print);
  take();
  std::vector<Expression*> values;
  while (!at_kind(TokenKind::block_end)) {
    if (!values.empty()) RETURN_IF_ERROR(expect_symbol(","));
    ASSIGN_OR_RETURN(Expression* const value, expression());
    values.push_back(value);
  }
  return program_.make(PrintStatement{node, program_.keep(values)});
}

StatusOr<Target> Parser::name_target() {
  const size_t offset = peek().offset;
  if (!at_kind(TokenKind::name)) return error(offset, "expected a name, got " + describe(peek()));
  ASSIGN_OR_RETURN(Expression* const node, primary());
  return target_of(node);
}

StatusOr<Target> Parser::target_of(Expression* node) {
  if (node->kind == ExpressionKind::name) return Target{.name = static_cast<Name*>(node)};
  if (node->kind != ExpressionKind::tuple) return error(node->offset, "this cannot be assigned to");
  std::vector<Target> parts;
  for (Expression* const item : static_cast<Display*>(node)->items) {
    ASSIGN_OR_RETURN(const Target part, target_of(item));
    parts.push_back(part);
  }
  return Target{.parts = program_.keep(parts)};
}

StatusOr<Target> Parser::target_item(bool with_namespace) {
  ASSIGN_OR_RETURN(Expression* const node, primary());
  ASSIGN_OR_RETURN(Target result, target_of(node));
  if (with_namespace && node->kind == ExpressionKind::name && skip_symbol(".")) {
    ASSIGN_OR_RETURN(result.attribute, expect_name());
  }
  return result;
}

StatusOr<Target> Parser::target(std::string_view end_name, bool with_namespace) {
  std::vector<Target> parts;
  bool is_tuple = false;
  while (!at_tuple_end(end_name)) {
    ASSIGN_OR_RETURN(const Target part, target_item(with_namespace));
    parts.push_back(part);
    if (!skip_symbol(",")) break;
    is_tuple = true;
  }
  if (parts.empty())
    return error(peek().offset, "expected a name to assign to, got " + describe(peek()));
  if (!is_tuple) return parts[0];
  return Target{.parts = program_.keep(parts)};
}

Parser::StatementOr Parser::set() {
  const Statement node = head(StatementKind::set);
  take();
  ASSIGN_OR_RETURN(const Target into, target({}, true));
  if (skip_symbol("=")) {
    ASSIGN_OR_RETURN(Expression* const value, tuple({}));
    return program_.make(SetStatement{node, into, value});
  }
  const size_t known = unknown_count();
  Expression* applied = nullptr;
  if (at_symbol("|")) {
    ASSIGN_OR_RETURN(applied, filters(nullptr, false));
  }
  ASSIGN_OR_RETURN(const Block statements, inner_body("endset", known));
  return program_.make(
      SetBlock{{StatementKind::set_block, node.offset}, into, applied, statements, {}});
}

Parser::StatementOr Parser::if_else() {
  const Statement node = head(StatementKind::if_else);
  const size_t known = unknown_count();
  std::vector<IfStatement::Branch> branches;
  Block otherwise;
  while (!at_name("endif")) {
    if (!at_name("else")) {  // "if" or "elif"
      take();
      ASSIGN_OR_RETURN(Expression* const test, tuple({.with_condition = false}));
      ASSIGN_OR_RETURN(const Block statements, body({"elif", "else", "endif"}));
      branches.push_back({test, statements});
      continue;
    }
    take();
    ASSIGN_OR_RETURN(otherwise, body({"endif"}));
  }
  take();
  forgive_unknown(known);
  return program_.make(IfStatement{node, program_.keep(branches), otherwise});
}

Parser::StatementOr Parser::for_loop() {
  ForStatement node{head(StatementKind::for_loop)};
  take();
  ASSIGN_OR_RETURN(node.target, target("in", false));
  if (!skip_name("in")) return error(peek().offset, "expected 'in', got " + describe(peek()));
  ASSIGN_OR_RETURN(node.iterable, tuple({.with_condition = false, .end_name = "recursive"}));
  const size_t known = unknown_count();
  if (skip_name("if")) {
    ASSIGN_OR_RETURN(node.test, expression());
  }
  node.recursive = skip_name("recursive");
  ++loops_;
  ASSIGN_OR_RETURN(node.body, body({"endfor", "else"}));
  --loops_;
  node.has_else = at_name("else");
  take();
  if (node.has_else) {
    const int outer = node.recursive ? std::exchange(loops_, 0) : loops_;
    ASSIGN_OR_RETURN(node.otherwise, body({"endfor"}));
    loops_ = outer;
    take();
  }
  RETURN_IF_ERROR(refuse_unknown(known));
  return program_.make(node);
}

Parser::StatementOr Parser::jump(StatementKind kind) {
  const Statement node = head(kind);
  const std::string_view name = take().text;
  if (loops_ == 0) return error(node.offset, fmt::format("'{}' stands outside of a loop", name));
  return program_.make(node);
}

Status Parser::keep_parameters(MacroBody& macro,
                               const std::vector<MacroBody::Parameter>& parameters) {
  auto* const room = static_cast<MacroBody::Parameter*>(program_.memory.allocate(
      (parameters.size() + 1) * sizeof(MacroBody::Parameter), alignof(MacroBody::Parameter)));
  std::uninitialized_copy(parameters.begin(), parameters.end(), room);
  macro.parameters = {room, parameters.size()};
  return {};
}

Status Parser::signature(MacroBody& macro) {
  std::vector<MacroBody::Parameter> parameters;
  RETURN_IF_ERROR(expect_symbol("("));
  while (!at_symbol(")")) {
    if (!parameters.empty()) RETURN_IF_ERROR(expect_symbol(","));
    const size_t offset = peek().offset;
    ASSIGN_OR_RETURN(const Target name, name_target());
    MacroBody::Parameter parameter{name.name->name, nullptr};
    const auto same_name = [&](const MacroBody::Parameter& other) {
      return other.name == parameter.name;
    };
    if (std::ranges::any_of(parameters, same_name))
      return error(offset, "two parameters have this name");
    if (skip_symbol("=")) {
      ASSIGN_OR_RETURN(parameter.default_value, expression());
    } else if (!parameters.empty() && parameters.back().default_value != nullptr) {
      return error(offset, "a parameter without default stands behind one with default");
    }
    parameters.push_back(parameter);
  }
  take();
  return keep_parameters(macro, parameters);
}

Parser::StatementOr Parser::macro() {
  const Statement node = head(StatementKind::macro);
  take();
  MacroBody macro;
  ASSIGN_OR_RETURN(const Target into, name_target());
  macro.name = into.name->name;
  const size_t known = unknown_count();
  RETURN_IF_ERROR(signature(macro));
  ASSIGN_OR_RETURN(macro.body, function_body("endmacro", known));
  return program_.make(MacroStatement{node, into, program_.make(macro)});
}

Parser::StatementOr Parser::call_block() {
  const Statement node = head(StatementKind::call_block);
  take();
  MacroBody macro;
  if (at_symbol("(")) RETURN_IF_ERROR(signature(macro));
  ASSIGN_OR_RETURN(Expression* const call, expression());
  if (call->kind != ExpressionKind::call)
    return error(call->offset, "expected a call behind 'call'");
  const size_t known = unknown_count();
  ASSIGN_OR_RETURN(macro.body, function_body("endcall", known));
  return program_.make(CallBlock{node, static_cast<Call*>(call), program_.make(macro)});
}

Parser::StatementOr Parser::filter_block() {
  const Statement node = head(StatementKind::filter_block);
  take();
  const size_t known = unknown_count();
  ASSIGN_OR_RETURN(Expression* const applied, filters(nullptr, true));
  ASSIGN_OR_RETURN(const Block statements, inner_body("endfilter", known));
  return program_.make(FilterBlock{node, applied, statements, {}});
}

Parser::StatementOr Parser::with() {
  const Statement node = head(StatementKind::with);
  take();
  std::vector<Target> targets;
  std::vector<Expression*> values;
  while (!at_kind(TokenKind::block_end) && !at_symbol(":")) {
    if (!targets.empty()) RETURN_IF_ERROR(expect_symbol(","));
    ASSIGN_OR_RETURN(const Target into, target({}, false));
    RETURN_IF_ERROR(expect_symbol("="));
    ASSIGN_OR_RETURN(Expression* const value, expression());
    targets.push_back(into);
    values.push_back(value);
  }
  ASSIGN_OR_RETURN(const Block statements, inner_body("endwith", unknown_count()));
  return program_.make(
      WithStatement{node, program_.keep(targets), program_.keep(values), statements, {}});
}

Parser::StatementOr Parser::generation() {
  const Statement node = head(StatementKind::generation);
  take();
  ASSIGN_OR_RETURN(const Block statements, function_body("endgeneration", unknown_count()));
  return program_.make(GenerationBlock{node, statements, {}});
}

// Line ends as "\n" and without the last one.
std::string normalised(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const bool carriage = source[i] == '\r';
    if (carriage && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += carriage ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace

std::string position(std::string_view source, size_t offset) {
  const std::string_view before = source.substr(0, std::min(offset, source.size()));
  const size_t newline = before.rfind('\n');
  const std::string_view line =
      newline == std::string_view::npos ? before : before.substr(newline + 1);
  return fmt::format("line {}, column {}", 1 + std::ranges::count(before, '\n'),
                     1 + unicode::length(line));
}

StatusOr<std::unique_ptr<const Program>> parse(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail("the template has {} bytes; at most {} are accepted", source.size(),
                kMaxSourceBytes);
  }
  if (const size_t bad = unicode::find_invalid(source); bad != std::string_view::npos) {
    return fail("the template is not valid UTF-8 at byte {}", bad);
  }
  auto program = std::make_unique<Program>();
  program->source = program->keep(normalised(source));
  ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(*program));
  RETURN_IF_ERROR(Parser(*program, std::move(tokens)).run());
  RETURN_IF_ERROR(resolve(*program));
  return program;
}

}  // namespace bessemer::jinja
