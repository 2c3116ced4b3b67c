#include "router/text/jinja/template.h"

#include <vector>

#include "router/text/jinja/ast.h"
#include "router/text/jinja/interpreter.h"
#include "router/text/jinja/json_text.h"
#include "router/text/jinja/parser.h"

namespace bessemer::jinja {
namespace {

StatusOr<Value> value_of(Runtime& runtime, const Variable& variable) {
  if (const bool* const flag = std::get_if<bool>(&variable.value)) return bool_value(*flag);
  if (const auto* const text = std::get_if<std::string_view>(&variable.value))
    return text_value(*text);
  if (const auto* const array = std::get_if<const json::array*>(&variable.value))
    return from_json(runtime, **array);
  if (const auto* const json = std::get_if<const json::value*>(&variable.value))
    return from_json(runtime, **json);
  return none_value();
}

}  // namespace

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

StatusOr<Template> Template::compile(std::string_view source) {
  ASSIGN_OR_RETURN(std::unique_ptr<const Program> program, parse(source));
  return Template(std::move(program));
}

StatusOr<std::string> Template::render(std::span<const Variable> variables,
                                       const RenderOptions& options) const {
  Runtime runtime(options.limits, options.now_s);
  DictBuilder values(runtime);
  for (const Variable& variable : variables) {
    ASSIGN_OR_RETURN(const Value value, value_of(runtime, variable));
    RETURN_IF_ERROR(values.set(variable.name, value));
  }
  ASSIGN_OR_RETURN(const Value context, values.take());
  return Interpreter(*program_, runtime, *context.dict).run();
}

StatusOr<std::string> Template::render(const json::object& variables,
                                       const RenderOptions& options) const {
  std::vector<Variable> all;
  for (const auto& member : variables) {
    all.push_back({std::string_view(member.key().data(), member.key().size()), &member.value()});
  }
  return render(all, options);
}

}  // namespace bessemer::jinja
