#include "bench/common/host.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

#include "worker/backend/cpu/cpu_count.h"

namespace bessemer::bench {
namespace {

// As Linux spells them.
constexpr std::array<std::string_view, 12> kTellingFeatures = {
    "avx2",     "fma",         "f16c",     "avx_vnni",    "avx512f",  "avx512_vnni",
    "avx512vl", "avx512_bf16", "amx_tile", "avx512_fp16", "amx_int8", "amx_bf16"};

std::string_view value_of(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  line.remove_prefix(colon + 1);
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line;
}

std::vector<std::string> telling_of(std::string_view flags) {
  std::vector<std::string> found;
  std::istringstream words{std::string(flags)};
  for (std::string word; words >> word;) {
    if (std::ranges::find(kTellingFeatures, word) != kTellingFeatures.end()) found.push_back(word);
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

Host parse_cpuinfo(std::string_view text) {
  Host host;
  bool named = false, flagged = false;
  while (!text.empty() && !(named && flagged)) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!named && line.starts_with("model name")) {
      host.cpu = value_of(line);
      named = true;
    } else if (!flagged && line.starts_with("flags")) {
      host.features = telling_of(value_of(line));
      flagged = true;
    }
  }
  return host;
}

Host this_host() {
  std::ifstream file("/proc/cpuinfo");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Host host = parse_cpuinfo(text);
  host.processors = cpu::usable_processors();
  return host;
}

std::string describe(const Host& host) {
  std::string line = host.cpu + ", " + std::to_string(host.processors) + " processors";
  for (const std::string& feature : host.features) line += " " + feature;
  return line;
}

json::object to_json(const Host& host) {
  return {{"cpu", host.cpu},
          {"features", json::array(host.features.begin(), host.features.end())},
          {"processors", host.processors}};
}

}  // namespace bessemer::bench
