// Who there should be: the last views of all sources, put together. A state without I/O.
//
// Invariants
//   O1  What a source saw last stands until it sees something else or is forgotten: a source that
//       cannot look keeps its view by saying nothing.
//   O2  An address that several sources see is one member, with the best standing that any of them
//       gives it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bessemer {

// What a source thinks of a worker, worst first. The router's own view (is there a session, a
// card?) comes on top.
enum class MemberStanding : uint8_t {
  leaving,   // it terminates: no new work
  starting,  // not ready yet: connected, so that it can become ready, but without work
  serving,
};

struct Member {
  std::string address;  // host:port, of a socket
  MemberStanding standing = MemberStanding::serving;
  friend bool operator==(const Member&, const Member&) = default;
};

class Roster {
 public:
  // Replaces what `source` saw before. True when members() changed.
  bool see(const std::string& source, std::vector<Member> members);
  // The source is not configured any more. True when members() changed.
  bool forget(const std::string& source);
  // By address, each once.
  const std::vector<Member>& members() const { return merged_; }

 private:
  bool merge();
  std::map<std::string, std::vector<Member>> seen_;
  std::vector<Member> merged_;
};

}  // namespace bessemer
