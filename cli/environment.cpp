#include "cli/environment.h"

#include <cstdlib>
#include <string_view>

#include <unistd.h>

#include "common/address.h"

namespace bessemer {
namespace {

std::string value_of(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string cache_dir() {
  if (std::string own = value_of("BESSEMER_CACHE"); !own.empty()) return own;
  if (std::string xdg = value_of("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/bessemer";
  const std::string home = value_of("HOME");
  return (home.empty() ? "/var/tmp" : home) + "/.cache/bessemer";
}

std::string package_index() {
  if (std::string own = value_of("BESSEMER_PACKAGE_INDEX"); !own.empty()) return own;
  if (std::string pip = value_of("PIP_INDEX_URL"); !pip.empty()) return pip;
  return "https://pypi.org/simple";
}

std::string kubernetes_api() {
  const std::string host = value_of("KUBERNETES_SERVICE_HOST");
  const std::string port = value_of("KUBERNETES_SERVICE_PORT");
  return host.empty() || port.empty() ? ""
                                      : "https://" + host_and_port(host, std::atoi(port.c_str()));
}

}  // namespace

Environment read_environment() {
  Environment environment;
  environment.cache_dir = cache_dir();
  environment.package_index = package_index();
  environment.kubernetes_api = kubernetes_api();
  environment.terminal = isatty(STDERR_FILENO) != 0 && value_of("TERM") != "dumb";
  environment.color = environment.terminal && value_of("NO_COLOR").empty();
  return environment;
}

}  // namespace bessemer
