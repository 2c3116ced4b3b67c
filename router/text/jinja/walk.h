// Going through a parsed template to find names.
#pragma once
#include <functional>
#include <string_view>

#include "router/text/jinja/ast.h"

namespace bessemer::jinja {

// A node as what its kind says it is.
template <typename T>
const T& as(const Statement& node) {
  return static_cast<const T&>(node);
}
template <typename T>
T& as(Statement& node) {
  return static_cast<T&>(node);
}
template <typename T>
const T& as(const Expression& node) {
  return static_cast<const T&>(node);
}

// All variables read by an expression, in the order of evaluation. Null: none.
void for_each_name(Expression* expression, const std::function<void(Name&)>& visit);
void for_each_name(const Expression* expression, const std::function<void(const Name&)>& visit);

// Whether the statements, inner blocks included, read `name` before they set it.
bool mentions(Block block, std::string_view name);
// Whether a loop sets `name` anywhere within.
bool stores_name(const ForStatement& loop, std::string_view name);

}  // namespace bessemer::jinja
