#include "router/admission/waiting_room.h"

#include <algorithm>
#include <numbers>
#include <utility>

#include "proto/tenant_given.h"

namespace bessemer {
namespace {

using Seconds = std::chrono::duration<double>;

// Of interactive, default and batch: while all three wait, they go in these parts.
constexpr std::array<double, 3> kClassWeights = {16, 4, 1};
constexpr auto kRateHalfLife = std::chrono::seconds(5);
// Of tokens: some prompts take a worker for ten seconds, and a few must not make the rate.
constexpr auto kTokenRateHalfLife = std::chrono::seconds(30);
// A line that was empty for no longer was not away: requests of a busy tenant come in bursts.
constexpr auto kAway = std::chrono::seconds(5);
// Of tokens, too: what was seen for less is no rate yet.
constexpr double kLeastRatedSeconds = 1, kPriorSeconds = 3;
// Before anything has gone.
constexpr auto kFirstPromise = std::chrono::seconds(1);

size_t index_of(ServiceClass service_class) {
  return static_cast<size_t>(service_class);
}

}  // namespace

WaitingRoom::Place WaitingRoom::place_of(TicketId ticket, const Guest& guest) {
  return {-guest.priority, guest.deadline, ticket};
}

std::variant<TicketId, TurnedAway> WaitingRoom::enter(const Guest& guest, const RoomLimits& limits,
                                                      TimePoint now, const ServiceOf& service) {
  expire(now);
  Line& line = line_of(guest, now);
  pass(line, now);
  const Promise* const told = promise_of(guest);
  const bool was_told = told != nullptr, has_place = was_told && now >= told->due;
  if (has_place) take_promise(guest);
  const size_t open = open_places(line, limits.most);
  const bool is_full = guests_.size() >= limits.most;
  const bool is_late = too_long(guest, line, limits.longest_wait);
  const bool is_open = has_open_place(line, open, now) && !is_late;
  const bool is_let_in = !is_full && (has_place || is_open);
  if (has_place || (was_told && is_let_in))
    ++(is_let_in ? promise_counts_.let_in : promise_counts_.refused);
  if (!is_let_in) {
    const Duration longest = is_late ? limits.longest_wait : Duration::max();
    return promise(guest, line, open, longest, now);
  }
  if (was_told && !has_place) take_promise(guest);  // early, and there is room all the same
  if (line.places.empty()) lift(line, now, service);
  line.active = now;
  const TicketId ticket{++last_ticket_};
  put_back(ticket, guest);
  return ticket;
}

void WaitingRoom::put_back(TicketId ticket, const Guest& guest) {
  Line& line = lines_.at(guest.tenant->id);
  count_in_class(line, 1);
  line.places.insert(place_of(ticket, guest));
  line.tokens += guest.tokens;
  guests_.emplace(static_cast<uint64_t>(ticket), guest);
}

// A line waits in one class, whatever it was called when its guests came. A class that begins to
// wait has no claim to what it did not want before.
void WaitingRoom::count_in_class(const Line& line, size_t more) {
  const size_t mine = index_of(line.tenant->service_class);
  const bool begins = class_waiting_[mine] == 0 && more > 0;
  class_waiting_[mine] += more;
  if (!begins) return;
  for (size_t i = 0; i < class_pass_.size(); i++) {
    if (i != mine && class_waiting_[i] > 0)
      class_pass_[mine] = std::max(class_pass_[mine], class_pass_[i]);
  }
}

bool WaitingRoom::leave(TicketId ticket, TimePoint now) {
  const auto at = guests_.find(static_cast<uint64_t>(ticket));
  if (at == guests_.end()) return false;
  const Guest& guest = at->second;
  Line& line = lines_.at(guest.tenant->id);
  pass(line, now);  // while it still counts as one that waits
  line.places.erase(place_of(ticket, guest));
  line.tokens -= guest.tokens;
  class_waiting_[index_of(line.tenant->service_class)]--;
  guests_.erase(at);
  return true;
}

std::optional<TicketId> WaitingRoom::next(TimePoint now, const ServiceOf& service) {
  expire(now);
  if (guests_.empty()) return std::nullopt;
  size_t chosen_class = class_pass_.size();
  for (size_t i = 0; i < class_pass_.size(); i++) {
    if (class_waiting_[i] == 0) continue;
    if (chosen_class == class_pass_.size() || class_pass_[i] < class_pass_[chosen_class])
      chosen_class = i;
  }
  const Line* chosen = nullptr;
  double least = 0;
  for (const auto& [id, line] : lines_) {
    if (line.places.empty() || index_of(line.tenant->service_class) != chosen_class) continue;
    const double given = virtual_service(line, now, service);
    if (chosen != nullptr && given >= least) continue;
    chosen = &line;
    least = given;
  }
  class_pass_[chosen_class] += 1 / kClassWeights[chosen_class];
  const TicketId ticket = chosen->places.begin()->ticket;
  leave(ticket, now);
  return ticket;
}

void WaitingRoom::note_gone(const Guest& guest, TimePoint now) {
  const auto at = lines_.find(guest.tenant->id);
  if (at == lines_.end()) return;
  pass(at->second, now);
  at->second.gone.sum += 1;
  at->second.gone_tokens.sum += static_cast<double>(guest.tokens);
  gone_tokens_.sum += static_cast<double>(guest.tokens);
}

size_t WaitingRoom::waiting(uint64_t tenant) const {
  const auto at = lines_.find(tenant);
  return at == lines_.end() ? 0 : at->second.places.size();
}
size_t WaitingRoom::promised(uint64_t tenant) const {
  const auto at = lines_.find(tenant);
  return at == lines_.end() ? 0 : at->second.promised.size();
}

WaitingRoom::Line& WaitingRoom::line_of(const Guest& guest, TimePoint now) {
  const auto [at, is_new] = lines_.try_emplace(guest.tenant->id);
  if (is_new) {
    at->second.lifted = at->second.rated = now;
    at->second.active = now - 2 * Duration(kAway);
  }
  Line& line = at->second;
  const bool moves =
      line.tenant != nullptr && line.tenant->service_class != guest.tenant->service_class;
  if (moves) class_waiting_[index_of(line.tenant->service_class)] -= line.places.size();
  line.tenant = guest.tenant;
  if (moves) count_in_class(line, line.places.size());
  return line;
}

// Time passes for the line's rate, in so far as somebody waits or was sent away, and for that of all
// together, in so far as anybody waits.
void WaitingRoom::pass(Line& line, TimePoint now) {
  const Duration passed = now - std::exchange(line.rated, now);
  const Duration passed_for_all = now - std::exchange(rated_, now);
  if (!guests_.empty()) fade(gone_tokens_, passed_for_all, kTokenRateHalfLife);
  if (line.places.empty() && line.promised.empty()) return;
  line.active = now;
  fade(line.gone, passed, kRateHalfLife);
  fade(line.gone_tokens, passed, kTokenRateHalfLife);
}

void WaitingRoom::fade(Rate& rate, Duration passed, Duration half_life) {
  const double kept = decay(passed, half_life);
  rate.sum *= kept;
  rate.seconds = rate.seconds * kept + (1 - kept) * Seconds(half_life).count() / std::numbers::ln2;
}

double WaitingRoom::virtual_service(const Line& line, TimePoint now, const ServiceOf& service) {
  const double lift = line.lift * decay(now - line.lifted, kShareHalfLife);
  return (service(line.tenant->id) + lift) / line.tenant->weight;
}

std::optional<double> WaitingRoom::least_service(const Line& but, TimePoint now,
                                                 const ServiceOf& service) const {
  std::optional<double> least;
  for (const auto& [id, line] : lines_) {
    if (&line == &but || line.places.empty()) continue;
    const double given = virtual_service(line, now, service);
    least = std::min(least.value_or(given), given);
  }
  return least;
}

void WaitingRoom::lift(Line& line, TimePoint now, const ServiceOf& service) const {
  if (now - line.active <= kAway) return;
  const auto least = least_service(line, now, service);
  const double mine = virtual_service(line, now, service);
  if (!least || mine >= *least) return;
  line.lift =
      line.lift * decay(now - line.lifted, kShareHalfLife) + (*least - mine) * line.tenant->weight;
  line.lifted = now;
}

// Of those that wait or were promised a place, and of this one.
double WaitingRoom::weights_with(const Line& line) const {
  double weights = 0;
  for (const auto& [id, each] : lines_) {
    const bool counts = &each == &line || !each.places.empty() || !each.promised.empty();
    if (counts) weights += each.tenant->weight;
  }
  return weights;
}

size_t WaitingRoom::open_places(const Line& line, size_t most) const {
  const double part =
      kOpenShare * static_cast<double>(most) * line.tenant->weight / weights_with(line);
  return std::max(static_cast<size_t>(part), std::min<size_t>(most, 1));
}

// For one who goes behind all that wait.
bool WaitingRoom::has_open_place(const Line& line, size_t open, TimePoint now) {
  if (line.places.size() >= open) return false;
  const size_t left = open - line.places.size();
  if (line.promised.size() < left) return true;
  const auto until_gone = time_of(static_cast<double>(line.places.size() + 1), line.gone);
  if (!until_gone) return false;
  return line.promised[left - 1] > now + *until_gone;
}

// Until so much has gone; nullopt: the rate is not known yet.
std::optional<Duration> WaitingRoom::time_of(double amount, const Rate& rate) {
  if (rate.sum <= 0 || rate.seconds <= 0) return std::nullopt;
  return std::chrono::duration_cast<Duration>(
      Seconds(std::min(amount * rate.seconds / rate.sum, 1e6)));
}
// Its part by weight of what goes counts as some seconds of its own: of a line that is seconds old
// little has gone, and the first of it say nothing of the rest.
std::optional<Duration> WaitingRoom::time_of_tokens(int64_t tokens, const Line& line) const {
  Rate rate = line.gone_tokens;
  if (gone_tokens_.seconds >= kLeastRatedSeconds && gone_tokens_.sum > 0) {
    const double part = line.tenant->weight / weights_with(line);
    rate.sum += part * gone_tokens_.sum / gone_tokens_.seconds * kPriorSeconds;
    rate.seconds += kPriorSeconds;
  } else if (rate.seconds < kLeastRatedSeconds) {
    return std::nullopt;
  }
  return time_of(static_cast<double>(tokens), rate);
}

// Whether it would have gone later than after `longest_wait`: behind all of its line, and its own
// tokens too, since a long prompt keeps those behind it waiting for as long. In tokens, since a count
// says little where one prompt is a thousand times another. Who is alone may always wait. Those who
// were promised a place do not count: some never come, and new ones would be refused for them.
bool WaitingRoom::too_long(const Guest& guest, const Line& line, Duration longest_wait) const {
  const bool is_batch = guest.tenant->service_class == ServiceClass::batch;
  if (line.places.empty() || is_batch) return false;
  const auto wait = time_of_tokens(line.tokens + guest.tokens, line);
  return wait.value_or(Duration::zero()) > longest_wait;
}

void WaitingRoom::forget(Line& line, const Promise& promise) {
  line.promised.erase(std::ranges::lower_bound(line.promised, promise.due));
  line.promised_tokens -= promise.tokens;
}

const WaitingRoom::Promise* WaitingRoom::promise_of(const Guest& guest) const {
  const auto at = promises_.find(guest.key);
  const bool is_his = at != promises_.end() && at->second.tenant == guest.tenant->id;
  return is_his ? &at->second : nullptr;
}

void WaitingRoom::take_promise(const Guest& guest) {
  const auto at = promises_.find(guest.key);
  forget(lines_.at(at->second.tenant), at->second);
  for (auto [end, last] = promise_ends_.equal_range(at->second.until); end != last; ++end) {
    if (end->second != at->first) continue;
    promise_ends_.erase(end);
    break;
  }
  promises_.erase(at);
}

// Who comes before his time hears it again.
TurnedAway WaitingRoom::promise(const Guest& guest, Line& line, size_t places,
                                Duration longest_wait, TimePoint now) {
  if (const Promise* const known = promise_of(guest)) {
    ++promise_counts_.early;
    return {std::max<Duration>(known->due - now, kShortestPromise)};
  }
  const size_t before = line.places.size() + line.promised.size() + 1;
  const double position = static_cast<double>(before - std::min(before - 1, places));
  const Duration by_count = time_of(position, line.gone).value_or(kFirstPromise);
  Duration wait = by_count;
  if (longest_wait != Duration::max()) {
    const int64_t all = line.tokens + line.promised_tokens + guest.tokens;
    const Duration behind = time_of_tokens(all, line).value_or(longest_wait) - longest_wait;
    // Where there are places and only the time is short, their number says nothing.
    wait = before <= places ? behind : std::max(by_count, behind);
  }
  const Duration told = std::clamp<Duration>(wait, kShortestPromise, kLongestPromise);
  // Nobody can be told to wait for longer: there is no place to keep.
  if (wait <= kLongestPromise && promises_.size() < kMaxPromises) {
    const TimePoint until = now + told + kPromiseLife;
    promises_[guest.key] = {guest.tenant->id, guest.tokens, now + told, until};
    promise_ends_.emplace(until, guest.key);
    line.promised.insert(std::ranges::upper_bound(line.promised, now + told), now + told);
    line.promised_tokens += guest.tokens;
    ++promise_counts_.told;
  }
  return {told};
}

void WaitingRoom::expire(TimePoint now) {
  while (!promise_ends_.empty() && promise_ends_.begin()->first <= now) {
    const auto at = promises_.find(promise_ends_.begin()->second);
    Line& line = lines_.at(at->second.tenant);
    pass(line, now);
    forget(line, at->second);
    ++promise_counts_.lapsed;
    promises_.erase(at);
    promise_ends_.erase(promise_ends_.begin());
  }
}

}  // namespace bessemer
