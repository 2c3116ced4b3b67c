#include "router/text/jinja/expression_parser.h"

#include <algorithm>

#include "router/text/jinja/builtins.h"
#include "router/text/jinja/objects.h"

namespace bessemer::jinja {
namespace {

Expression head(ExpressionKind kind, size_t offset) {
  return {kind, 1, static_cast<uint32_t>(offset)};
}

int depth_of(const Expression* node) {
  return node == nullptr ? 0 : node->depth;
}

}  // namespace

const Token& ExpressionParser::take() {
  const Token& token = peek();
  if (token.kind != TokenKind::end) ++at_;
  return token;
}

bool ExpressionParser::at_name(std::string_view name, size_t ahead) const {
  return peek(ahead).kind == TokenKind::name && peek(ahead).text == name;
}

bool ExpressionParser::at_symbol(std::string_view symbol, size_t ahead) const {
  return peek(ahead).kind == TokenKind::symbol && peek(ahead).text == symbol;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}

bool ExpressionParser::skip_symbol(std::string_view symbol) {
  if (!at_symbol(symbol)) return false;
  take();
  return true;
}

Status ExpressionParser::error(size_t offset, std::string_view what) const {
  return fail("{}: {}", position(program_.source, offset), what);
}

Status ExpressionParser::unexpected() const {
  return error(peek().offset, "unexpected " + describe(peek()));
}

Status ExpressionParser::expect_symbol(std::string_view symbol) {
  if (skip_symbol(symbol)) return {};
  return error(peek().offset, fmt::format("expected '{}', got {}", symbol, describe(peek())));
}

Status ExpressionParser::expect_kind(TokenKind kind, std::string_view what) {
  if (!at_kind(kind))
    return error(peek().offset, fmt::format("expected {}, got {}", what, describe(peek())));
  take();
  return {};
}

StatusOr<std::string_view> ExpressionParser::expect_name() {
  if (at_kind(TokenKind::name)) return take().text;
  return error(peek().offset, "expected a name, got " + describe(peek()));
}

Status ExpressionParser::Nesting::check() const {
  if (parser_.depth_ <= kMaxSyntaxDepth) return {};
  return parser_.error(parser_.peek().offset,
                       fmt::format("nested more than {} levels deep", kMaxSyntaxDepth));
}

Status ExpressionParser::refuse_unknown(size_t since) const {
  if (unknown_.size() <= since) return {};
  const Unknown& first = unknown_[since];
  return error(first.offset, fmt::format("there is no {} named '{}'", first.kind, first.name));
}

template <typename T>
StatusOr<Expression*> ExpressionParser::finish(T node,
                                               std::initializer_list<const Expression*> children,
                                               Expressions more) {
  int depth = node.depth;  // already 1, or 1 + that of arguments
  for (const Expression* child : children) depth = std::max(depth, 1 + jinja::depth_of(child));
  for (const Expression* child : more) depth = std::max(depth, 1 + jinja::depth_of(child));
  if (depth > kMaxSyntaxDepth) {
    return error(node.offset,
                 fmt::format("an expression is nested more than {} levels deep", kMaxSyntaxDepth));
  }
  node.depth = static_cast<uint8_t>(depth);
  return program_.make(node);
}

int ExpressionParser::depth_of(const CallArguments& arguments) {
  int depth = std::max(jinja::depth_of(arguments.star), jinja::depth_of(arguments.double_star));
  for (const Expression* value : arguments.positional)
    depth = std::max(depth, jinja::depth_of(value));
  for (const CallArguments::Named& named : arguments.named)
    depth = std::max(depth, jinja::depth_of(named.value));
  return depth;
}

StatusOr<Expression*> ExpressionParser::conditional() {
  const Nesting nesting(*this);
  RETURN_IF_ERROR(nesting.check());
  const size_t known = unknown_count();
  const size_t offset = peek().offset;
  ASSIGN_OR_RETURN(Expression * node, disjunction());
  while (skip_name("if")) {
    ASSIGN_OR_RETURN(Expression* const test, disjunction());
    Expression* otherwise = nullptr;
    if (skip_name("else")) {
      ASSIGN_OR_RETURN(otherwise, conditional());
    }
    forgive_unknown(known);
    ASSIGN_OR_RETURN(
        node, finish(Conditional{head(ExpressionKind::conditional, offset), test, node, otherwise},
                     {test, node, otherwise}));
  }
  return node;
}

StatusOr<Expression*> ExpressionParser::series(ExpressionKind kind, Rule operand,
                                               std::string_view name, std::string_view symbol) {
  const size_t offset = peek().offset;
  ASSIGN_OR_RETURN(Expression* const first, (this->*operand)());
  std::vector<Expression*> operands{first};
  while (!name.empty() ? skip_name(name) : skip_symbol(symbol)) {
    ASSIGN_OR_RETURN(Expression* const next, (this->*operand)());
    operands.push_back(next);
  }
  if (operands.size() == 1) return first;
  const Expressions kept = program_.keep(operands);
  return finish(Operands{head(kind, offset), kept}, {}, kept);
}

StatusOr<Expression*> ExpressionParser::disjunction() {
  return series(ExpressionKind::disjunction, &ExpressionParser::conjunction, "or", "");
}

StatusOr<Expression*> ExpressionParser::conjunction() {
  return series(ExpressionKind::conjunction, &ExpressionParser::negation, "and", "");
}

StatusOr<Expression*> ExpressionParser::negation() {
  if (!at_name("not")) return comparison();
  const Nesting nesting(*this);
  RETURN_IF_ERROR(nesting.check());
  const size_t offset = take().offset;
  ASSIGN_OR_RETURN(Expression* const operand, negation());
  return finish(Unary{head(ExpressionKind::negation, offset), operand}, {operand});
}

bool ExpressionParser::take_comparison(Comparison& how) {
  static constexpr std::pair<std::string_view, Comparison> kRows[] = {
      {"==", Comparison::equal},  {"!=", Comparison::not_equal},
      {"<", Comparison::less},    {"<=", Comparison::less_equal},
      {">", Comparison::greater}, {">=", Comparison::greater_equal}};
  for (const auto& [symbol, meaning] : kRows) {
    how = meaning;
    if (skip_symbol(symbol)) return true;
  }
  how = Comparison::in;
  if (skip_name("in")) return true;
  how = Comparison::not_in;
  if (!at_name("not") || !at_name("in", 1)) return false;
  take();
  take();
  return true;
}

StatusOr<Expression*> ExpressionParser::comparison() {
  const size_t offset = peek().offset;
  ASSIGN_OR_RETURN(Expression* const first, sum());
  std::vector<ComparisonChain::Step> steps;
  std::vector<Expression*> operands{first};
  for (Comparison how{}; take_comparison(how);) {
    ASSIGN_OR_RETURN(Expression* const next, sum());
    steps.push_back({how, next});
    operands.push_back(next);
  }
  if (steps.empty()) return first;
  return finish(
      ComparisonChain{head(ExpressionKind::comparison, offset), first, program_.keep(steps)}, {},
      operands);
}

StatusOr<Expression*> ExpressionParser::arithmetic(Rule operand,
                                                   std::span<const OperatorRow> operators) {
  const size_t offset = peek().offset;
  ASSIGN_OR_RETURN(Expression* const first, (this->*operand)());
  std::vector<Arithmetic::Step> steps;
  std::vector<Expression*> operands{first};
  while (true) {
    const auto row =
        std::ranges::find_if(operators, [&](const OperatorRow& r) { return at_symbol(r.symbol); });
    if (row == operators.end()) break;
    take();
    ASSIGN_OR_RETURN(Expression* const next, (this->*operand)());
    steps.push_back({row->how, next});
    operands.push_back(next);
  }
  if (steps.empty()) return first;
  return finish(Arithmetic{head(ExpressionKind::arithmetic, offset), first, program_.keep(steps)},
                {}, operands);
}

StatusOr<Expression*> ExpressionParser::sum() {
  static constexpr OperatorRow kRows[] = {{"+", Operator::add}, {"-", Operator::subtract}};
  return arithmetic(&ExpressionParser::concatenation, kRows);
}

StatusOr<Expression*> ExpressionParser::concatenation() {
  return series(ExpressionKind::concatenation, &ExpressionParser::product, "", "~");
}

StatusOr<Expression*> ExpressionParser::product() {
  static constexpr OperatorRow kRows[] = {{"*", Operator::multiply},
                                          {"/", Operator::divide},
                                          {"//", Operator::floor_divide},
                                          {"%", Operator::modulo}};
  return arithmetic(&ExpressionParser::power, kRows);
}

StatusOr<Expression*> ExpressionParser::power() {
  static constexpr OperatorRow kRows[] = {{"**", Operator::power}};
  return arithmetic(&ExpressionParser::factor, kRows);
}

StatusOr<Expression*> ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(*this);
  RETURN_IF_ERROR(nesting.check());
  Expression* node = nullptr;
  if (at_symbol("-") || at_symbol("+")) {
    const Token& sign = take();
    ASSIGN_OR_RETURN(Expression* const operand, unary(false));
    const auto kind = sign.text == "-" ? ExpressionKind::negate : ExpressionKind::plus;
    ASSIGN_OR_RETURN(node, finish(Unary{head(kind, sign.offset), operand}, {operand}));
  } else {
    ASSIGN_OR_RETURN(node, primary());
  }
  ASSIGN_OR_RETURN(node, postfix(node));
  if (!with_filters) return node;
  return applications(node);
}

StatusOr<Expression*> ExpressionParser::postfix(Expression* object) {
  while (true) {
    if (at_symbol(".") || at_symbol("[")) {
      ASSIGN_OR_RETURN(object, at_symbol(".") ? member(object) : subscript(object));
    } else if (at_symbol("(")) {
      ASSIGN_OR_RETURN(object, call(object));
    } else {
      return object;
    }
  }
}

StatusOr<Expression*> ExpressionParser::applications(Expression* object) {
  while (true) {
    if (at_symbol("|")) {
      ASSIGN_OR_RETURN(object, filters(object, false));
    } else if (at_name("is")) {
      ASSIGN_OR_RETURN(object, test(object));
    } else if (at_symbol("(")) {
      ASSIGN_OR_RETURN(object, call(object));
    } else {
      return object;
    }
  }
}

StatusOr<Expression*> ExpressionParser::primary() {
  const Token& token = peek();
  if (token.kind == TokenKind::text) return text();
  if (token.kind == TokenKind::number) {
    take();
    return finish(Constant{head(ExpressionKind::constant, token.offset), token.value}, {});
  }
  if (token.kind == TokenKind::name) {
    take();
    Value value;
    if (token.text == "none" || token.text == "None") value = none_value();
    if (token.text == "true" || token.text == "True") value = bool_value(true);
    if (token.text == "false" || token.text == "False") value = bool_value(false);
    if (value.given())
      return finish(Constant{head(ExpressionKind::constant, token.offset), value}, {});
    return finish(Name{head(ExpressionKind::name, token.offset), token.text}, {});
  }
  if (skip_symbol("(")) {
    ASSIGN_OR_RETURN(Expression* const inner, tuple({.parenthesised = true}));
    RETURN_IF_ERROR(expect_symbol(")"));
    return inner;
  }
  if (at_symbol("[")) return list();
  if (at_symbol("{")) return dict();
  return unexpected();
}

// Adjacent literals are one.
StatusOr<Expression*> ExpressionParser::text() {
  const Token& first = take();
  std::string_view text = first.text;
  if (at_kind(TokenKind::text)) {
    std::string joined(text);
    while (at_kind(TokenKind::text)) joined += take().text;
    text = program_.keep(joined);
  }
  return finish(Constant{head(ExpressionKind::constant, first.offset), text_value(text)}, {});
}

bool ExpressionParser::at_tuple_end(std::string_view end_name) const {
  return at_kind(TokenKind::print_end) || at_kind(TokenKind::block_end) || at_symbol(")") ||
         (!end_name.empty() && at_name(end_name));
}

StatusOr<Expression*> ExpressionParser::tuple(TupleRules rules) {
  const size_t offset = peek().offset;
  std::vector<Expression*> items;
  bool is_tuple = false;
  while (!at_tuple_end(rules.end_name)) {
    ASSIGN_OR_RETURN(Expression* const item, rules.with_condition ? expression() : disjunction());
    items.push_back(item);
    if (!skip_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.size() == 1) return items[0];
  if (!is_tuple && !rules.parenthesised) {
    return error(peek().offset, "expected an expression, got " + describe(peek()));
  }
  const Expressions kept = program_.keep(items);
  return finish(Display{head(ExpressionKind::tuple, offset), kept}, {}, kept);
}

StatusOr<Expression*> ExpressionParser::list() {
  const size_t offset = take().offset;
  std::vector<Expression*> items;
  while (!at_symbol("]")) {
    if (!items.empty()) RETURN_IF_ERROR(expect_symbol(","));
    if (at_symbol("]")) break;
    ASSIGN_OR_RETURN(Expression* const item, expression());
    items.push_back(item);
  }
  take();
  const Expressions kept = program_.keep(items);
  return finish(Display{head(ExpressionKind::list, offset), kept}, {}, kept);
}

StatusOr<Expression*> ExpressionParser::dict() {
  const size_t offset = take().offset;
  std::vector<DictDisplay::Pair> pairs;
  std::vector<Expression*> all;
  while (!at_symbol("}")) {
    if (!pairs.empty()) RETURN_IF_ERROR(expect_symbol(","));
    if (at_symbol("}")) break;
    ASSIGN_OR_RETURN(Expression* const key, expression());
    RETURN_IF_ERROR(expect_symbol(":"));
    ASSIGN_OR_RETURN(Expression* const value, expression());
    pairs.push_back({key, value});
    all.insert(all.end(), {key, value});
  }
  take();
  return finish(DictDisplay{head(ExpressionKind::dict, offset), program_.keep(pairs)}, {}, all);
}

// object.name or object.0
StatusOr<Expression*> ExpressionParser::member(Expression* object) {
  const size_t offset = take().offset;
  const Token& token = peek();
  if (token.kind == TokenKind::name) {
    take();
    return finish(Attribute{head(ExpressionKind::attribute, offset), object, token.text}, {object});
  }
  if (token.kind != TokenKind::number || !token.value.is(Kind::integer)) {
    return error(token.offset, "expected a name or a number behind '.', got " + describe(token));
  }
  take();
  ASSIGN_OR_RETURN(Expression* const key,
                   finish(Constant{head(ExpressionKind::constant, token.offset), token.value}, {}));
  return finish(Item{head(ExpressionKind::item, offset), object, key}, {object, key});
}

StatusOr<Expression*> ExpressionParser::subscript(Expression* object) {
  const size_t offset = take().offset;
  Expression* parts[3] = {nullptr, nullptr, nullptr};  // start, stop, step
  bool is_slice = false;
  if (!at_symbol(":")) {
    ASSIGN_OR_RETURN(parts[0], expression());
  }
  for (int i = 1; i < 3 && skip_symbol(":"); ++i) {
    is_slice = true;
    if (at_symbol(":") || at_symbol("]")) continue;
    ASSIGN_OR_RETURN(parts[i], expression());
  }
  if (!is_slice && at_symbol(",")) {  // object[a, b]: a tuple is the key
    std::vector<Expression*> items{parts[0]};
    while (skip_symbol(",")) {
      ASSIGN_OR_RETURN(Expression* const item, expression());
      items.push_back(item);
    }
    const Expressions kept = program_.keep(items);
    ASSIGN_OR_RETURN(parts[0],
                     finish(Display{head(ExpressionKind::tuple, offset), kept}, {}, kept));
  }
  RETURN_IF_ERROR(expect_symbol("]"));
  if (!is_slice)
    return finish(Item{head(ExpressionKind::item, offset), object, parts[0]}, {object, parts[0]});
  return finish(
      SliceItem{head(ExpressionKind::slice, offset), object, parts[0], parts[1], parts[2]},
      {object, parts[0], parts[1], parts[2]});
}

Status ExpressionParser::argument(CallArguments& into, std::vector<Expression*>& positional,
                                  std::vector<CallArguments::Named>& named) {
  const size_t offset = peek().offset;
  const auto misplaced = [&] {
    return error(offset, "this argument cannot stand behind the ones before it");
  };
  if (skip_symbol("*")) {
    if (into.star != nullptr || into.double_star != nullptr) return misplaced();
    ASSIGN_OR_RETURN(into.star, expression());
    return {};
  }
  if (into.double_star != nullptr) return misplaced();
  if (skip_symbol("**")) {
    ASSIGN_OR_RETURN(into.double_star, expression());
    return {};
  }
  if (at_kind(TokenKind::name) && at_symbol("=", 1)) {
    const std::string_view name = take().text;
    take();
    const bool again =
        std::ranges::any_of(named, [&](const auto& other) { return other.name == name; });
    if (again) return error(offset, fmt::format("argument '{}' is given twice", name));
    ASSIGN_OR_RETURN(Expression* const value, expression());
    named.push_back({name, value});
    return {};
  }
  if (into.star != nullptr || !named.empty()) return misplaced();
  ASSIGN_OR_RETURN(Expression* const value, expression());
  positional.push_back(value);
  return {};
}

StatusOr<CallArguments> ExpressionParser::arguments() {
  CallArguments result;
  std::vector<Expression*> positional;
  std::vector<CallArguments::Named> named;
  take();  // the bracket
  for (bool first = true; !at_symbol(")"); first = false) {
    if (!first) RETURN_IF_ERROR(expect_symbol(","));
    if (at_symbol(")")) break;
    RETURN_IF_ERROR(argument(result, positional, named));
  }
  take();
  result.positional = program_.keep(positional);
  result.named = program_.keep(named);
  return result;
}

StatusOr<Expression*> ExpressionParser::call(Expression* callee) {
  const size_t offset = peek().offset;
  ASSIGN_OR_RETURN(const CallArguments given, arguments());
  Call node{head(ExpressionKind::call, offset), callee, given};
  node.depth = static_cast<uint8_t>(1 + depth_of(given));
  return finish(node, {callee});
}

StatusOr<std::string_view> ExpressionParser::dotted_name() {
  ASSIGN_OR_RETURN(std::string_view name, expect_name());
  while (skip_symbol(".")) {
    ASSIGN_OR_RETURN(const std::string_view more, expect_name());
    name = program_.keep(fmt::format("{}.{}", name, more));
  }
  return name;
}

StatusOr<Expression*> ExpressionParser::finish_application(ExpressionKind kind, size_t offset,
                                                           Expression* object,
                                                           std::string_view name,
                                                           CallArguments arguments) {
  const bool is_filter = kind == ExpressionKind::filter;
  const Native* const native = is_filter ? find_filter(name) : find_test(name);
  if (native == nullptr) unknown_.push_back({offset, is_filter ? "filter" : "test", name});
  Application node{head(kind, offset), object, name, native, arguments};
  node.depth = static_cast<uint8_t>(1 + depth_of(arguments));
  return finish(node, {object});
}

StatusOr<Expression*> ExpressionParser::filters(Expression* object, bool at_first) {
  while (at_first || skip_symbol("|")) {
    at_first = false;
    const size_t offset = peek().offset;
    ASSIGN_OR_RETURN(const std::string_view name, dotted_name());
    CallArguments given;
    if (at_symbol("(")) {
      ASSIGN_OR_RETURN(given, arguments());
    }
    ASSIGN_OR_RETURN(object,
                     finish_application(ExpressionKind::filter, offset, object, name, given));
  }
  return object;
}

// A test may take one argument without brackets.
StatusOr<CallArguments> ExpressionParser::test_arguments() {
  if (at_symbol("(")) return arguments();
  CallArguments none;
  const bool may_begin = at_kind(TokenKind::name) || at_kind(TokenKind::text) ||
                         at_kind(TokenKind::number) || at_symbol("[") || at_symbol("{");
  if (!may_begin || at_name("else") || at_name("or") || at_name("and")) return none;
  if (at_name("is")) return error(peek().offset, "tests cannot be chained with 'is'");
  ASSIGN_OR_RETURN(Expression * argument, primary());
  ASSIGN_OR_RETURN(argument, postfix(argument));
  none.positional = program_.keep(std::vector<Expression*>{argument});
  return none;
}

StatusOr<Expression*> ExpressionParser::test(Expression* object) {
  const size_t offset = take().offset;
  const bool negated = skip_name("not");
  ASSIGN_OR_RETURN(const std::string_view name, dotted_name());
  ASSIGN_OR_RETURN(const CallArguments given, test_arguments());
  ASSIGN_OR_RETURN(Expression* const node,
                   finish_application(ExpressionKind::test, offset, object, name, given));
  if (!negated) return node;
  return finish(Unary{head(ExpressionKind::negation, offset), node}, {node});
}

}  // namespace bessemer::jinja
