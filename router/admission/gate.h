// Before the workers of every model: requests go through while there is room, and wait in order
// while there is none. All cores come here; what a request does under the lock is bounded by the
// number of tenants, and what demand() does, five times a second, by those who wait.
//
// Invariants
//   A1  Whoever entered is through, waits, has a turn or has left; a turn is given once per ticket,
//       and again only after put_back().
//   A2  While anybody waits, nobody passes by.
//   A3  At most kTurns of a model have a turn at once: a turn that finds no room closes the gate
//       until wake().
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "router/admission/waiting_room.h"
#include "router/tenants/accounts.h"
#include "router/tenants/rate_limiter.h"

namespace bessemer {

constexpr size_t kTurns = 4;

// There is room, as far as is known.
struct GoThrough {};
using Entry = std::variant<GoThrough, TicketId, TurnedAway>;

// Thread-safe.
class Gate {
 public:
  // Called from any thread, with no lock held: must only post.
  using Turn = std::function<void()>;

  explicit Gate(const RoomLimits& limits = {}) : limits_(limits) {}

  // Nobody waits, and nobody found no room: what enter() would let through.
  bool is_open(const std::string& model) const;
  Entry enter(const std::string& model, const Guest& guest, Turn turn, TimePoint now);
  // Somebody found no room: nobody goes through until wake(). A ticket waits again where it did.
  void found_none(const std::string& model);
  void put_back(const std::string& model, TicketId ticket);
  // It has gone to a worker.
  void gone(const std::string& model, TicketId ticket, TimePoint now);
  // It waits no more, or needs its turn no more.
  void leave(const std::string& model, TicketId ticket, TimePoint now);
  // There may be room again.
  void wake(TimePoint now);

  // Limits by the minute; see RateLimiter.
  RateVerdict take(const Tenant& tenant, int64_t prompt_tokens, TimePoint now);
  void give_back(const Tenant& tenant, int64_t prompt_tokens);

  // What the workers say.
  void report(uint32_t worker, const v1::TenantReport& report, TimePoint now);
  void drop(uint32_t worker, TimePoint now);
  void set_limits(const RoomLimits& limits);

  size_t waiting() const;
  // Of all models.
  PromiseCounts promise_counts() const;
  // What waits here, for the workers to share their room by.
  v1::Demand demand() const;

 private:
  struct Waiter {
    Guest guest;
    Turn turn;
  };
  struct Door {
    WaitingRoom room;
    bool is_open = true;
    std::unordered_map<uint64_t, Waiter> waiters;  // by ticket; those with a turn too
    std::unordered_set<uint64_t> turns;            // tickets that have one
  };
  // The turns that are to be given now.
  std::vector<Turn> pump(Door& door, TimePoint now);
  ServiceOf service_at(TimePoint now) const;
  static void give(const std::vector<Turn>& turns) {
    for (const Turn& turn : turns) turn();
  }

  mutable std::mutex mutex_;
  RoomLimits limits_;
  std::map<std::string, Door> doors_;
  TenantAccounts accounts_;
  RateLimiter limiter_;
};

}  // namespace bessemer
