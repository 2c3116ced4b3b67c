// `bessemer tokenize` as a program of its own, which links in seconds: for the scripts that compare
// tokenizers.
#include <CLI/CLI.hpp>

#include "cli/tokenize.h"

int main(int argc, char** argv) {
  bessemer::TokenizeOptions options;
  CLI::App app("tokenize");
  app.add_option("--model", options.model)->required();
  app.add_flag("--no-special", options.no_special);
  app.add_flag("--json", options.json);
  app.add_flag("--decode", options.decode);
  app.add_flag("--lines", options.lines);
  CLI11_PARSE(app, argc, argv);
  return bessemer::tokenize_command(options);
}
