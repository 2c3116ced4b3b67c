#pragma once
#include <string>

namespace bessemer {

// "bessemer 0.1.0", then a line for each backend this machine can or cannot use.
std::string version_text();

}  // namespace bessemer
