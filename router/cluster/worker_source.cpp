#include "router/cluster/worker_source.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

namespace bessemer {
namespace {

constexpr std::string_view kDns = "dns://", kKubernetes = "k8s://";

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

// A label of RFC 1123, which names of namespaces, Services and ports are.
bool is_label(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !text.empty() && text.size() <= 63 && std::ranges::all_of(text, fits) &&
         text.front() != '-' && text.back() != '-';
}

// "host:port"; false where it is none.
bool split_host_port(std::string_view text, WorkerSource& source) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find(':') != std::string_view::npos) return false;
  source.host = host;
  source.port = text.substr(colon + 1);
  return host.find_first_of(" \t/,") == std::string_view::npos && is_port(source.port);
}

// "namespace/service:port".
bool split_service(std::string_view text, WorkerSource& source) {
  const size_t slash = text.find('/'), colon = text.rfind(':');
  if (slash == std::string_view::npos || colon == std::string_view::npos || colon < slash)
    return false;
  source.name_space = text.substr(0, slash);
  source.service = text.substr(slash + 1, colon - slash - 1);
  source.port = text.substr(colon + 1);
  return (source.name_space.empty() || is_label(source.name_space)) && is_label(source.service) &&
         (is_port(source.port) || is_label(source.port));
}

}  // namespace

StatusOr<WorkerSource> parse_worker_source(const std::string& text) {
  WorkerSource source;
  source.text = text;
  if (text.starts_with(kKubernetes)) {
    source.kind = WorkerSource::Kind::kubernetes;
    if (split_service(std::string_view(text).substr(kKubernetes.size()), source)) return source;
    return absl::InvalidArgumentError("worker '" + text +
                                      "' is not k8s://namespace/service:port, as in "
                                      "k8s://default/bessemer-workers:grpc");
  }
  if (text.starts_with(kDns)) {
    source.kind = WorkerSource::Kind::dns;
    if (split_host_port(std::string_view(text).substr(kDns.size()), source)) return source;
    return absl::InvalidArgumentError("worker '" + text + "' is not dns://name:port");
  }
  if (split_host_port(text, source)) return source;
  return absl::InvalidArgumentError(
      "worker '" + text +
      "' is not host:port (an IPv6 address goes in brackets), dns://name:port or "
      "k8s://namespace/service:port");
}

std::vector<Member> fixed_members(const std::vector<WorkerSource>& sources) {
  std::vector<Member> members;
  for (const auto& source : sources) {
    if (source.kind == WorkerSource::Kind::address)
      members.push_back({source.text, MemberStanding::serving});
  }
  return members;
}

StatusOr<std::vector<WorkerSource>> parse_worker_sources(const std::vector<std::string>& texts) {
  if (texts.size() > kMaxWorkers) {
    return absl::InvalidArgumentError("at most " + std::to_string(kMaxWorkers) + " workers, not " +
                                      std::to_string(texts.size()));
  }
  std::vector<WorkerSource> sources;
  std::set<std::string> seen;
  size_t watched = 0;
  for (const auto& text : texts) {
    ASSIGN_OR_RETURN(WorkerSource source, parse_worker_source(text));
    if (!seen.insert(text).second)
      return absl::InvalidArgumentError("worker " + text + " is listed twice");
    watched += source.kind == WorkerSource::Kind::address ? 0 : 1;
    sources.push_back(std::move(source));
  }
  if (watched > kMaxWatchedSources) {
    return absl::InvalidArgumentError("at most " + std::to_string(kMaxWatchedSources) +
                                      " of the workers may be dns:// or k8s://, not " +
                                      std::to_string(watched));
  }
  return sources;
}

}  // namespace bessemer
