// `bessemer inspect FILE.gguf [--json]`: what a model file says of itself.
#pragma once
#include <string>

namespace bessemer {

struct InspectOptions {
  std::string path;   // of the GGUF file
  bool json = false;  // one JSON document instead of tables
};

// Prints on standard output; errors go to standard error. Returns the process's exit code.
int inspect_command(const InspectOptions& options);

}  // namespace bessemer
