// Real models that tests use where they are there.
#pragma once
#include <string>

namespace bessemer::test {

// SmolLM2-135M-Instruct in the cache that `make serve` fills: $BESSEMER_CACHE,
// $XDG_CACHE_HOME/bessemer or ~/.cache/bessemer. Says where it would be, there or not.
std::string default_model_path();
// stories260K, which lies beside the sources.
std::string stories_model_path();

}  // namespace bessemer::test
