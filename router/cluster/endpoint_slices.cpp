#include "router/cluster/endpoint_slices.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include "common/address.h"

namespace bessemer {
namespace {

constexpr int64_t kGone = 410;

// Fields of the API's objects: absent, null and of another type are all "not said".
const json::object* object_at(const json::object& in, std::string_view name) {
  const json::value* value = in.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_at(const json::object& in, std::string_view name) {
  const json::value* value = in.if_contains(name);
  return value == nullptr ? nullptr : value->if_array();
}

std::string string_at(const json::object& in, std::string_view name) {
  const json::value* value = in.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(*text);
}

std::optional<bool> bool_at(const json::object& in, std::string_view name) {
  const json::value* value = in.if_contains(name);
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag == nullptr ? std::nullopt : std::optional<bool>(*flag);
}

int64_t number_at(const json::object& in, std::string_view name) {
  const json::value* value = in.if_contains(name);
  const int64_t* number = value == nullptr ? nullptr : value->if_int64();
  return number == nullptr ? 0 : *number;
}

std::string metadata_of(const json::object& object, std::string_view field) {
  const json::object* metadata = object_at(object, "metadata");
  return metadata == nullptr ? std::string() : string_at(*metadata, field);
}

// EndpointConditions: what is not said of ready counts as true, of terminating as false.
MemberStanding standing_of(const json::object& endpoint) {
  const json::object* conditions = object_at(endpoint, "conditions");
  if (conditions == nullptr) return MemberStanding::serving;
  if (bool_at(*conditions, "terminating").value_or(false)) return MemberStanding::leaving;
  return bool_at(*conditions, "ready").value_or(true) ? MemberStanding::serving
                                                      : MemberStanding::starting;
}

StatusOr<json::object> parse_object(std::string_view text) {
  ASSIGN_OR_RETURN(json::value value, parse_json(text));
  if (!value.is_object()) return absl::InvalidArgumentError("not a JSON object");
  return std::move(value.as_object());
}

// An ERROR event carries a Status.
Status error_of(const json::object& status) {
  const std::string message = string_at(status, "message");
  if (number_at(status, "code") == kGone) return absl::OutOfRangeError(message);
  return absl::UnavailableError("the API server says: " + message);
}

}  // namespace

StatusOr<std::string> EndpointSlices::add_page(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object list, parse_object(body));
  const json::array* items = array_at(list, "items");
  const std::string version = metadata_of(list, "resourceVersion");
  if (items == nullptr || version.empty())
    return absl::InvalidArgumentError("an EndpointSliceList without items or resourceVersion");
  for (const json::value& item : *items) {
    const json::object* slice = item.if_object();
    if (slice == nullptr) return absl::InvalidArgumentError("an item that is no EndpointSlice");
    if (listed_.size() >= kMaxEndpointSlices)
      return absl::ResourceExhaustedError("the Service has too many EndpointSlices");
    ASSIGN_OR_RETURN(listed_[metadata_of(*slice, "name")], read_slice(*slice));
  }
  listed_version_ = version;
  return metadata_of(list, "continue");
}

void EndpointSlices::end_list() {
  slices_ = std::exchange(listed_, {});
  version_ = listed_version_;
}

Status EndpointSlices::apply(std::string_view text) {
  ASSIGN_OR_RETURN(const json::object event, parse_object(text));
  const std::string type = string_at(event, "type");
  const json::object* object = object_at(event, "object");
  if (object == nullptr) return absl::InvalidArgumentError("a watch event without an object");
  if (type == "ERROR") return error_of(*object);
  const std::string name = metadata_of(*object, "name");
  const std::string version = metadata_of(*object, "resourceVersion");
  if (version.empty()) return absl::InvalidArgumentError("an object without resourceVersion");
  if (type == "ADDED" || type == "MODIFIED") {
    ASSIGN_OR_RETURN(Slice slice, read_slice(*object));
    if (!slices_.contains(name) && slices_.size() >= kMaxEndpointSlices)
      return absl::ResourceExhaustedError("the Service has too many EndpointSlices");
    slices_[name] = std::move(slice);
  } else if (type == "DELETED") {
    slices_.erase(name);
  } else if (type != "BOOKMARK") {
    return absl::InvalidArgumentError("a watch event of unknown type '" + type + "'");
  }
  version_ = version;
  return absl::OkStatus();
}

// The number of port_ in this slice; empty where the slice does not have it.
std::string EndpointSlices::port_of(const json::object& slice) const {
  const json::array* ports = array_at(slice, "ports");
  if (ports == nullptr) return "";
  for (const json::value& entry : *ports) {
    const json::object* port = entry.if_object();
    if (port == nullptr) continue;
    const std::string number = std::to_string(number_at(*port, "port"));
    if (number != "0" && (string_at(*port, "name") == port_ || number == port_)) return number;
  }
  return "";
}

StatusOr<EndpointSlices::Slice> EndpointSlices::read_slice(const json::object& slice) const {
  if (metadata_of(slice, "name").empty())
    return absl::InvalidArgumentError("an EndpointSlice without a name");
  Slice found;
  const std::string family = string_at(slice, "addressType"), port = port_of(slice);
  const json::array* endpoints = array_at(slice, "endpoints");
  if (endpoints == nullptr || port.empty() || (family != "IPv4" && family != "IPv6")) return found;
  if (endpoints->size() > kMaxSliceEndpoints)
    return absl::ResourceExhaustedError("an EndpointSlice has too many endpoints");
  for (const json::value& entry : *endpoints) {
    if (const json::object* endpoint = entry.if_object())
      add_endpoint(*endpoint, port, family == "IPv6", found);
  }
  return found;
}

void EndpointSlices::add_endpoint(const json::object& endpoint, const std::string& port, bool ipv6,
                                  Slice& into) {
  const json::array* addresses = array_at(endpoint, "addresses");
  if (addresses == nullptr || addresses->empty()) return;
  // The API: consumers should use the first; the others mean the same endpoint.
  const json::string* host = addresses->front().if_string();
  if (host == nullptr || host->empty()) return;
  Endpoint found;
  found.address = host_and_port(std::string(*host), std::atoi(port.c_str()));
  if (const json::object* pod = object_at(endpoint, "targetRef"))
    found.uid = string_at(*pod, "uid");
  if (found.uid.empty()) found.uid = found.address;
  found.ipv6 = ipv6;
  found.standing = standing_of(endpoint);
  into.push_back(std::move(found));
}

std::vector<Member> EndpointSlices::members() const {
  struct Pod {
    const Endpoint* chosen;  // whose address counts
    bool ready, terminates;
  };
  // A pod's address changes with its sandbox: the ready one is the newer one.
  const auto rank = [](const Endpoint& endpoint) {
    return std::pair(endpoint.standing == MemberStanding::serving, !endpoint.ipv6);
  };
  std::map<std::string, Pod> pods;  // S2
  for (const auto& [name, slice] : slices_) {
    for (const auto& endpoint : slice) {
      Pod& pod = pods.try_emplace(endpoint.uid, Pod{&endpoint, false, false}).first->second;
      if (rank(endpoint) > rank(*pod.chosen)) pod.chosen = &endpoint;
      pod.ready = pod.ready || endpoint.standing == MemberStanding::serving;
      pod.terminates = pod.terminates || endpoint.standing == MemberStanding::leaving;
    }
  }
  std::vector<Member> members;
  for (const auto& [uid, pod] : pods) {
    const MemberStanding alive = pod.ready ? MemberStanding::serving : MemberStanding::starting;
    members.push_back({pod.chosen->address, pod.terminates ? MemberStanding::leaving : alive});
  }
  return members;
}

}  // namespace bessemer
