// Expressions from tokens, with Jinja2's grammar and precedence.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "router/text/jinja/lexer.h"

namespace bessemer::jinja {

class ExpressionParser {
 public:
  ExpressionParser(Program& program, std::vector<Token> tokens)
      : program_(program), tokens_(std::move(tokens)) {}

 protected:
  // Tokens. The last one is `end` and is never passed.
  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& take();
  bool at_kind(TokenKind kind) const { return peek().kind == kind; }
  bool at_name(std::string_view name, size_t ahead = 0) const;
  bool at_symbol(std::string_view symbol, size_t ahead = 0) const;
  bool skip_name(std::string_view name);
  bool skip_symbol(std::string_view symbol);
  Status expect_symbol(std::string_view symbol);
  Status expect_kind(TokenKind kind, std::string_view what);
  StatusOr<std::string_view> expect_name();
  Status error(size_t offset, std::string_view what) const;
  Status unexpected() const;

  StatusOr<Expression*> expression() { return conditional(); }
  StatusOr<Expression*> disjunction();  // an expression without "if"
  struct TupleRules {
    bool with_condition = true;
    std::string_view end_name = {};  // a name that ends it, besides brackets and ends of tags
    bool parenthesised = false;      // may be empty
  };
  StatusOr<Expression*> tuple(TupleRules rules);
  StatusOr<Expression*> primary();
  bool at_tuple_end(std::string_view end_name) const;
  // A chain "name(arguments) | name ..." applied to `object`; `at_first`: the first name has no bar
  // before it.
  StatusOr<Expression*> filters(Expression* object, bool at_first);

  // Names of filters and tests that do not exist are errors at once, except where an "if" may keep
  // them from being reached: those wait here for the end of their block.
  struct Unknown {
    size_t offset;
    std::string_view kind, name;
  };
  size_t unknown_count() const { return unknown_.size(); }
  void forgive_unknown(size_t since) { unknown_.resize(since); }
  Status refuse_unknown(size_t since) const;

  // Counts what is nested while it lives.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    Status check() const;

   private:
    ExpressionParser& parser_;
  };

  Program& program_;

 private:
  StatusOr<Expression*> conditional();
  StatusOr<Expression*> conjunction();
  StatusOr<Expression*> negation();
  StatusOr<Expression*> comparison();
  StatusOr<Expression*> sum();
  StatusOr<Expression*> concatenation();
  StatusOr<Expression*> product();
  StatusOr<Expression*> power();
  StatusOr<Expression*> factor() { return unary(true); }
  StatusOr<Expression*> unary(bool with_filters);
  StatusOr<Expression*> postfix(Expression* object);
  StatusOr<Expression*> applications(Expression* object);
  StatusOr<Expression*> subscript(Expression* object);
  StatusOr<Expression*> member(Expression* object);
  StatusOr<Expression*> call(Expression* callee);
  StatusOr<Expression*> test(Expression* object);
  StatusOr<Expression*> list();
  StatusOr<Expression*> dict();
  StatusOr<Expression*> text();
  StatusOr<CallArguments> arguments();
  StatusOr<CallArguments> test_arguments();
  Status argument(CallArguments& into, std::vector<Expression*>& positional,
                  std::vector<CallArguments::Named>& named);
  StatusOr<std::string_view> dotted_name();

  using Rule = StatusOr<Expression*> (ExpressionParser::*)();
  // operand (separator operand)*, as one node of all operands.
  StatusOr<Expression*> series(ExpressionKind kind, Rule operand, std::string_view name,
                               std::string_view symbol);
  struct OperatorRow {
    std::string_view symbol;
    Operator how;
  };
  StatusOr<Expression*> arithmetic(Rule operand, std::span<const OperatorRow> operators);
  bool take_comparison(Comparison& how);

  // Sets the node's depth from its children's and keeps it.
  template <typename T>
  StatusOr<Expression*> finish(T node, std::initializer_list<const Expression*> children,
                               Expressions more = {});
  StatusOr<Expression*> finish_application(ExpressionKind kind, size_t offset, Expression* object,
                                           std::string_view name, CallArguments arguments);
  static int depth_of(const CallArguments& arguments);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  std::vector<Unknown> unknown_;
};

}  // namespace bessemer::jinja
