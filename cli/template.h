// `bessemer template --template F.jinja --input REQUEST.json`: renders a chat template.
#pragma once
#include <string>

namespace bessemer {

struct TemplateOptions {
  std::string template_path;  // Jinja source
  std::string
      input_path;  // JSON object whose keys are the template's variables; "-": standard input
};

// The rendered text on standard output, nothing behind it; errors go to standard error. Returns the
// exit status.
int template_command(const TemplateOptions& options);

}  // namespace bessemer
