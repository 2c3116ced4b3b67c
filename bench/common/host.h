// The machine that a figure was measured on: no figure is stored without it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"

namespace bessemer::bench {

struct Host {
  std::string cpu = "unknown";
  std::vector<std::string> features;  // those that decide which kernels run
  int processors = 0;                 // that this process may use
};

Host this_host();
// Of the text of /proc/cpuinfo.
Host parse_cpuinfo(std::string_view text);

std::string describe(const Host& host);  // one line
json::object to_json(const Host& host);

}  // namespace bessemer::bench
