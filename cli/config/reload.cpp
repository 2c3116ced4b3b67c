#include "cli/config/reload.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>
#include <variant>

#include "cli/config/fields.h"

namespace bessemer {
namespace {

// log_level is taken over too, by the command itself.
constexpr std::array<std::string_view, 16> kReloadable = {
    "workers",           "tenants_file",       "policy",
    "max_waiting",       "max_wait_ms",        "max_connections",
    "max_body_bytes",    "sse_ping_ms",        "body_timeout_ms",
    "header_timeout_ms", "request_timeout_ms", "idle_timeout_ms",
    "cors_origins",      "decision_headers",   "drain_notice_ms",
    "drain_ms",
};

// One setting, whatever its type.
using SettingPointer =
    std::variant<bool*, int32_t*, int64_t*, double*, std::string*, std::vector<std::string>*>;

std::vector<SettingPointer> pointers_to(RouterConfig& config) {
  std::vector<SettingPointer> pointers;
  visit_fields(config,
               [&](const char*, auto& member, const char*) { pointers.push_back(&member); });
  return pointers;
}

}  // namespace

std::span<const std::string_view> reloadable_settings() {
  return kReloadable;
}

bool is_reloadable(std::string_view name) {
  return std::ranges::find(kReloadable, name) != kReloadable.end();
}

std::vector<std::string> keep_fixed(RouterConfig running, RouterConfig& fresh) {
  const auto before = pointers_to(running);  // the order is that of visit_fields
  std::vector<std::string> kept;
  size_t next = 0;
  visit_fields(fresh, [&](const char* name, auto& member, const char*) {
    const auto& old = *std::get<std::remove_reference_t<decltype(member)>*>(before[next++]);
    if (is_reloadable(name) || old == member) return;
    member = old;
    kept.emplace_back(name);
  });
  return kept;
}

}  // namespace bessemer
