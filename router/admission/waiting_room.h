// Who waits in this router for room in a worker of one model, and who goes next: class by class by
// their weights, in it the tenant that all workers together have given least for its weight, of his
// the one of highest priority, of those the one whose time is over first. No thread, no clock.
//
// Who is sent away is told when to come back: his place behind all that wait and all that were told
// before him, at the rate at which his tenant's have lately gone. The place is kept for him, so that
// nobody who comes later takes it.
//
// Invariants
//   W1  At most `most` wait. Of one tenant at most its part of kOpenShare of them by weight, and who
//       would be done waiting later than after `longest_wait`, as its line goes, does not begin to;
//       the rest is for those whose place was kept.
//   W2  A place is kept until kPromiseLife after the time that was told, for whoever asks again under
//       the same key. It is one of the tenant's places for whoever would still wait when it is due;
//       who would have gone by then takes nothing away.
//   W3  A tenant that begins to wait is not behind nor ahead of the one that was given least.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "router/tenants/accounts.h"
#include "router/tenants/tenant_directory.h"

namespace bessemer {

constexpr double kOpenShare = 0.75;
constexpr auto kPromiseLife = std::chrono::seconds(2);
// Official clients do not wait for longer than a minute or two.
constexpr auto kLongestPromise = std::chrono::seconds(120);
constexpr auto kShortestPromise = std::chrono::milliseconds(500);
constexpr size_t kMaxPromises = 65536;

// Who wants to wait.
struct Guest {
  TenantPtr tenant;    // never null
  uint64_t key = 0;    // of the request's content: the same request later has the same
  int64_t tokens = 0;  // of its prompt
  int32_t priority = 0;
  TimePoint deadline = TimePoint::max();
};
// Come back then.
struct TurnedAway {
  Duration retry_after{};
};
enum class TicketId : uint64_t {};

// What became of those who were told when to come back, and whose place was kept.
struct PromiseCounts {
  uint64_t told = 0;
  uint64_t let_in = 0, refused = 0;  // came back when their place was due
  uint64_t early = 0;                // came back before, and heard it again
  uint64_t lapsed = 0;               // never came in time
};

struct RoomLimits {
  size_t most = 1024;
  // Who waits for an answer has turned to something else by then; told when to come back he keeps his
  // place all the same. Batches are not waited for.
  Duration longest_wait = std::chrono::seconds(20);
};

// How much the tenant was given lately, by all workers.
using ServiceOf = std::function<double(uint64_t tenant)>;

class WaitingRoom {
 public:
  std::variant<TicketId, TurnedAway> enter(const Guest& guest, const RoomLimits& limits,
                                           TimePoint now, const ServiceOf& service);
  // It had its turn and found no room after all: it is where it was.
  void put_back(TicketId ticket, const Guest& guest);
  // It waits no more. False: it did not.
  bool leave(TicketId ticket, TimePoint now);
  // Takes out who goes next.
  std::optional<TicketId> next(TimePoint now, const ServiceOf& service);
  // What was taken out has gone to a worker.
  void note_gone(const Guest& guest, TimePoint now);

  size_t waiting() const { return guests_.size(); }
  size_t waiting(uint64_t tenant) const;
  size_t promised(uint64_t tenant) const;
  const PromiseCounts& promise_counts() const { return promise_counts_; }
  bool empty() const { return guests_.empty(); }

 private:
  struct Place {
    int32_t priority = 0;
    TimePoint deadline{};
    TicketId ticket{};
    auto operator<=>(const Place&) const = default;
  };
  struct Promise {
    uint64_t tenant = 0;
    int64_t tokens = 0;
    TimePoint due{}, until{};
  };
  // Of the time in which some waited, halving with a half-life.
  struct Rate {
    double sum = 0, seconds = 0;
  };
  struct Line {  // of one tenant
    TenantPtr tenant;
    std::set<Place> places;
    std::vector<TimePoint> promised;  // when each of them is due, in order
    // Of the prompts of those that wait, and of those to whom a place was promised.
    int64_t tokens = 0, promised_tokens = 0;
    double lift = 0;  // at `lifted`; halves like what was given
    TimePoint lifted{};
    TimePoint active{};      // when last somebody waited
    Rate gone, gone_tokens;  // how fast its requests go, and their tokens
    TimePoint rated{};
  };
  static Place place_of(TicketId ticket, const Guest& guest);
  Line& line_of(const Guest& guest, TimePoint now);
  static void fade(Rate& rate, Duration passed, Duration half_life);
  void pass(Line& line, TimePoint now);
  static double virtual_service(const Line& line, TimePoint now, const ServiceOf& service);
  std::optional<double> least_service(const Line& but, TimePoint now,
                                      const ServiceOf& service) const;
  void lift(Line& line, TimePoint now, const ServiceOf& service) const;
  size_t open_places(const Line& line, size_t most) const;
  static bool has_open_place(const Line& line, size_t open, TimePoint now);
  static std::optional<Duration> time_of(double amount, const Rate& rate);
  double weights_with(const Line& line) const;
  std::optional<Duration> time_of_tokens(int64_t tokens, const Line& line) const;
  bool too_long(const Guest& guest, const Line& line, Duration longest_wait) const;
  static void forget(Line& line, const Promise& promise);
  // Null: none, or it is another tenant's.
  const Promise* promise_of(const Guest& guest) const;
  void take_promise(const Guest& guest);
  // So that he waits for no longer than `longest_wait` once he is back; max: however long.
  TurnedAway promise(const Guest& guest, Line& line, size_t places, Duration longest_wait,
                     TimePoint now);
  void expire(TimePoint now);
  void count_in_class(const Line& line, size_t more);

  uint64_t last_ticket_ = 0;
  std::unordered_map<uint64_t, Guest> guests_;       // by ticket
  std::map<uint64_t, Line> lines_;                   // by tenant
  std::unordered_map<uint64_t, Promise> promises_;   // by key
  std::multimap<TimePoint, uint64_t> promise_ends_;  // until -> key
  PromiseCounts promise_counts_;
  Rate gone_tokens_;  // of all lines
  TimePoint rated_{};
  std::array<double, 3> class_pass_{};  // stride scheduling
  std::array<size_t, 3> class_waiting_{};
};

}  // namespace bessemer
