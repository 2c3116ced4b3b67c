#include "tests/support/models.h"

#include "tests/support/environment.h"

namespace bessemer::test {
namespace {

std::string cache_folder() {
  if (const std::string cache = environment("BESSEMER_CACHE"); !cache.empty()) return cache;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/bessemer";
  return environment("HOME") + "/.cache/bessemer";
}

}  // namespace

std::string default_model_path() {
  return cache_folder() + "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::string stories_model_path() {
  return "../shared/data/models/stories260K.gguf";
}

}  // namespace bessemer::test
