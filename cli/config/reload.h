// Settings that change while a router runs, and those that wait for a restart.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router/config.h"

namespace bessemer {

// The settings (YAML keys) that a router takes over while it runs.
std::span<const std::string_view> reloadable_settings();
bool is_reloadable(std::string_view name);

// Sets what cannot change in `fresh` to what `running` has; returns the names that differed.
std::vector<std::string> keep_fixed(RouterConfig running, RouterConfig& fresh);

}  // namespace bessemer
