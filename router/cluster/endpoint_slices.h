// The endpoints of a Kubernetes Service as its EndpointSlices describe them
// (discovery.k8s.io/v1), kept up to date by what a list and a watch of them bring. A state without
// I/O.
//
// Invariants
//   S1  Between begin_list() and end_list() members() is what it was: a list that breaks off
//       changes nothing.
//   S2  A pod is one member however many slices name it (endpoints move between slices, and are in
//       two of them meanwhile): it is leaving if any of them says that it terminates, else ready if
//       any says so.
//   S3  After an event that is refused nothing has changed.
//   S4  At most kMaxEndpointSlices are kept, of kMaxSliceEndpoints each; what is beyond is refused.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/status.h"
#include "router/cluster/roster.h"

namespace bessemer {

// A slice has up to 100 endpoints by default, and a worker is in a slice per address family:
// kMaxWorkers fit ten times over, and more where they are spread thinly.
constexpr size_t kMaxEndpointSlices = 256;
constexpr size_t kMaxSliceEndpoints = 1000;  // the API's own bound

class EndpointSlices {
 public:
  // `port`: by name or by number.
  explicit EndpointSlices(std::string port) : port_(std::move(port)) {}

  // A page of a list: an EndpointSliceList. Returns the token of the next page, empty after the
  // last.
  void begin_list() { listed_.clear(); }
  StatusOr<std::string> add_page(std::string_view body);
  // The list is complete: what it did not name is gone.
  void end_list();

  // One line of a watch. OutOfRange: the version is too old (410), list again. Others: the event
  // cannot be read.
  Status apply(std::string_view event);

  // Where a watch goes on; empty before the first list.
  const std::string& version() const { return version_; }
  std::vector<Member> members() const;

 private:
  struct Endpoint {
    std::string uid;      // of the pod; its address where no pod is named
    std::string address;  // host:port
    bool ipv6 = false;
    MemberStanding standing = MemberStanding::serving;
  };
  using Slice = std::vector<Endpoint>;

  StatusOr<Slice> read_slice(const json::object& slice) const;
  std::string port_of(const json::object& slice) const;
  static void add_endpoint(const json::object& endpoint, const std::string& port, bool ipv6,
                           Slice& into);

  const std::string port_;
  std::map<std::string, Slice> slices_, listed_;  // by name
  std::string version_, listed_version_;
};

}  // namespace bessemer
