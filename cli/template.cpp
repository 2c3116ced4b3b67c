#include "cli/template.h"

#include <cstdio>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "router/text/jinja/template.h"

namespace bessemer {
namespace {

// Of a template or of its variables: far above the longest request a router takes.
constexpr size_t kMaxInputBytes = size_t{256} << 20;

StatusOr<std::string> read_input(const std::string& path) {
  return read_file(path == "-" ? "/dev/stdin" : path, kMaxInputBytes);
}

StatusOr<std::string> render(const TemplateOptions& options) {
  ASSIGN_OR_RETURN(const std::string source, read_input(options.template_path));
  ASSIGN_OR_RETURN(const std::string input, read_input(options.input_path));
  const StatusOr<json::value> variables = parse_json(input);
  if (!variables.ok()) return annotate(variables.status(), options.input_path);
  if (!variables->is_object())
    return absl::InvalidArgumentError(options.input_path + ": must be a JSON object of variables");
  StatusOr<jinja::Template> program = jinja::Template::compile(source);
  if (!program.ok()) return annotate(program.status(), options.template_path);
  const StatusOr<std::string> text =
      program->render(variables->get_object(), {.limits = {}, .now_s = local_calendar_seconds()});
  if (!text.ok()) return annotate(text.status(), options.template_path);
  return text;
}

}  // namespace

int template_command(const TemplateOptions& options) {
  const StatusOr<std::string> text = render(options);
  if (!text.ok()) {
    std::fprintf(stderr, "bessemer template: %s\n", std::string(text.status().message()).c_str());
    return 1;
  }
  std::fwrite(text->data(), 1, text->size(), stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace bessemer
