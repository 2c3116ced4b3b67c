// Settings that change while a router runs, and those that wait for a restart.
#pragma once
#include <string>
#include <vector>

#include "router/config.h"

namespace bessemer {

// Whether a router takes over the setting of this name (a YAML key) while it runs.
bool is_reloadable(const std::string& name);

// Sets what cannot change in `fresh` to what `running` has; returns the names that differed.
std::vector<std::string> keep_fixed(RouterConfig running, RouterConfig& fresh);

}  // namespace bessemer
