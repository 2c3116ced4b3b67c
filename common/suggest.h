// "Did you mean": what a misspelt name was likely meant to be.
#pragma once
#include <string_view>
#include <vector>

namespace bessemer {

// The known name nearest to `wrong` by edit distance, or "" when none is near enough to be what was
// meant.
std::string_view nearest(std::string_view wrong, const std::vector<std::string_view>& known);

}  // namespace bessemer
