// Our own Jinja2 engine for chat templates: what transformers' apply_chat_template renders, byte
// for byte, without Python. The environment is the one that transformers sets up: trim_blocks and
// lstrip_blocks on, an immutable sandbox, loop controls, `generation` blocks, raise_exception(),
// strftime_now() and a tojson without HTML.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "common/json.h"
#include "common/status.h"
#include "router/text/jinja/limits.h"

namespace bessemer::jinja {

struct Program;

struct RenderOptions {
  Limits limits;
  // What strftime_now() shows: seconds since 1970, already moved to the time zone to be shown.
  int64_t now_s = 0;
};

// A variable of the template, by reference: nothing is copied. monostate: none.
struct Variable {
  std::string_view name;
  std::variant<std::monostate, bool, std::string_view, const json::array*, const json::value*>
      value;
};

// Immutable once made; any thread may render.
class Template {
 public:
  // InvalidArgument names line, column and the thing: syntax, an unknown tag, filter or test.
  static StatusOr<Template> compile(std::string_view source);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // InvalidArgument: the template called raise_exception() (its own words) or used what does not
  // exist; OutOfRange: an integer beyond 128 bits; ResourceExhausted: a limit was reached. All name
  // line and column. Of two variables of the same name the last one counts.
  StatusOr<std::string> render(std::span<const Variable> variables,
                               const RenderOptions& options = {}) const;
  StatusOr<std::string> render(const json::object& variables,
                               const RenderOptions& options = {}) const;

 private:
  explicit Template(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace bessemer::jinja
