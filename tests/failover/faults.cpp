#include "tests/failover/faults.h"

#include <algorithm>

namespace bessemer::failover {
namespace {

constexpr auto kLook = std::chrono::milliseconds(5);

constexpr const char* kNames[kFaultKinds] = {
    "crash", "hang",     "freeze",   "slow", "sever", "drop", "duplicate",  "reorder",
    "delay", "lie_idle", "lie_full", "kill", "stop",  "cut",  "black_hole", "lag"};

struct Span {
  int64_t least_ms, most_ms;
};

// Around what a router waits for: a hang counts as one after 2 s, a lease is 3 s.
Span duration_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::hang:
    case FaultKind::freeze:
    case FaultKind::stop:
    case FaultKind::black_hole:
      return {200, 6000};
    case FaultKind::crash:
    case FaultKind::kill:
      return {50, 1500};
    case FaultKind::slow:
    case FaultKind::lie_idle:
    case FaultKind::lie_full:
    case FaultKind::lag:
      return {500, 2000};
    case FaultKind::drop:
    case FaultKind::duplicate:
    case FaultKind::reorder:
    case FaultKind::delay:
      return {100, 400};
    case FaultKind::sever:
    case FaultKind::cut:
      return {0, 0};
  }
  return {0, 0};
}

}  // namespace

const char* name_of(FaultKind kind) {
  return kNames[static_cast<size_t>(kind)];
}

bool find_fault(const std::string& name, FaultKind& kind) {
  const auto found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return false;
  kind = static_cast<FaultKind>(found - std::begin(kNames));
  return true;
}

Tormentor::Tormentor(const FaultOptions& options,
                     const std::vector<std::unique_ptr<Victim>>& victims)
    : options_(options), random_(options.seed) {
  const TimePoint now = std::chrono::steady_clock::now();
  for (const auto& victim : victims) {
    Patient patient{.victim = victim.get(), .kinds = victim->can_suffer()};
    std::erase_if(patient.kinds, [&](FaultKind kind) {
      return !options.kinds.empty() &&
             std::ranges::find(options.kinds, kind) == options.kinds.end();
    });
    patient.until = now + options.rest * random_.between(0, 200) / 100;
    if (!patient.kinds.empty()) patients_.push_back(std::move(patient));
  }
  if (options.sick_share > 0) {
    most_sick_ = std::max<size_t>(
        1, static_cast<size_t>(static_cast<double>(victims.size()) * options.sick_share));
  }
  thread_ = std::thread([this] { run(); });
}

Tormentor::~Tormentor() {
  stopping_ = true;
  thread_.join();
  for (Patient& patient : patients_) {
    while (patient.sick && !patient.victim->end(patient.kind)) std::this_thread::sleep_for(kLook);
  }
}

std::array<int64_t, kFaultKinds> Tormentor::struck() const {
  std::array<int64_t, kFaultKinds> counts{};
  for (size_t i = 0; i < kFaultKinds; i++) counts[i] = struck_[i];
  return counts;
}

void Tormentor::run() {
  while (!stopping_) {
    const TimePoint now = std::chrono::steady_clock::now();
    for (Patient& patient : patients_) look_after(patient, now);
    std::this_thread::sleep_for(kLook);
  }
}

void Tormentor::look_after(Patient& patient, TimePoint now) {
  if (now < patient.until) return;
  if (!patient.sick) {
    if (sick_ < most_sick_) strike(patient, now);
    return;
  }
  if (!patient.victim->end(patient.kind)) return;
  patient.sick = false;
  sick_--;
  patient.until = now + options_.rest * random_.between(0, 200) / 100;
}

void Tormentor::strike(Patient& patient, TimePoint now) {
  patient.kind = patient.kinds[random_.below(patient.kinds.size())];
  const Span span = duration_of(patient.kind);
  patient.until = now + std::chrono::milliseconds(random_.between(span.least_ms, span.most_ms));
  patient.sick = true;
  sick_++;
  struck_[static_cast<size_t>(patient.kind)]++;
  patient.victim->begin(patient.kind);
}

}  // namespace bessemer::failover
