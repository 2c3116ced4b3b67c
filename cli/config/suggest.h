#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace bessemer {

// The known name nearest to `wrong` by edit distance, or "" when none is near enough to be what was
// meant.
std::string nearest(std::string_view wrong, const std::vector<std::string>& known);
// " (did you mean 'port'?)" or "".
std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& known);

}  // namespace bessemer
