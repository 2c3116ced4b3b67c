#include "router/cluster/roster.h"

#include <algorithm>
#include <utility>

namespace bessemer {

bool Roster::see(const std::string& source, std::vector<Member> members) {
  seen_[source] = std::move(members);
  return merge();
}

bool Roster::forget(const std::string& source) {
  return seen_.erase(source) > 0 && merge();
}

bool Roster::merge() {
  std::map<std::string, MemberStanding> best;
  for (const auto& [source, members] : seen_) {
    for (const auto& member : members) {
      MemberStanding& standing = best.try_emplace(member.address, member.standing).first->second;
      standing = std::max(standing, member.standing);
    }
  }
  std::vector<Member> merged;
  for (const auto& [address, standing] : best) merged.push_back({address, standing});
  if (merged == merged_) return false;
  merged_ = std::move(merged);
  return true;
}

}  // namespace bessemer
