#include "cli/config/suggest.h"

#include "common/suggest.h"

namespace bessemer {

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& known) {
  const std::string name(nearest(wrong, {known.begin(), known.end()}));
  return name.empty() ? "" : " (did you mean '" + name + "'?)";
}

}  // namespace bessemer
