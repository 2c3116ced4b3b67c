#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

// " (did you mean 'port'?)" or "".
std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& known);

}  // namespace bessemer
