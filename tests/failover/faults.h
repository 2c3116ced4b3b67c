// Which faults there are, who can suffer them, and when they strike: a schedule drawn from a seed.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/random.h"

namespace bessemer::failover {

enum class FaultKind : uint8_t {
  // A mock in this process, or its frames.
  crash,   // listener, lanes and state vanish, and it comes back with a new incarnation
  hang,    // no step; pings and load reports go on
  freeze,  // nothing is read, written or computed, and later all of it goes on
  slow,    // twenty times slower
  sever,   // all lanes break at once
  drop,
  duplicate,
  reorder,
  delay,
  lie_idle,
  lie_full,
  // A process.
  kill,  // SIGKILL, and started again
  stop,  // SIGSTOP, and later SIGCONT
  // The network between.
  cut,         // every connection is reset
  black_hole,  // nothing passes, and nobody is told
  lag,         // everything is 100 ms late
};
constexpr size_t kFaultKinds = 16;
const char* name_of(FaultKind kind);
// False: there is no such name.
bool find_fault(const std::string& name, FaultKind& kind);

// A worker, or the way to it, as its tormentor sees it.
class Victim {
 public:
  virtual ~Victim() = default;
  virtual std::vector<FaultKind> can_suffer() const = 0;
  virtual void begin(FaultKind kind) = 0;
  // False: it is not well again yet; ask once more.
  virtual bool end(FaultKind kind) = 0;
};

struct FaultOptions {
  uint64_t seed = 1;
  std::vector<FaultKind> kinds;  // none: all that a victim can suffer
  double sick_share = 0.34;      // of the victims at once, at most: one at least, none if it is 0
  Duration rest = std::chrono::milliseconds(300);  // on average between two faults of one victim
};

// Torments the victims on a thread of its own until it is destroyed; then all of them are well.
// Victim, kind and duration of each fault follow from the seed (when they meet which stream does
// not: that is the machine's).
class Tormentor {
 public:
  // `victims` outlive it.
  Tormentor(const FaultOptions& options, const std::vector<std::unique_ptr<Victim>>& victims);
  ~Tormentor();

  // So far, by kind.
  std::array<int64_t, kFaultKinds> struck() const;

 private:
  struct Patient {
    Victim* victim = nullptr;
    std::vector<FaultKind> kinds;
    bool sick = false;
    FaultKind kind{};
    TimePoint until{};  // the end of the illness, or of the rest behind it
  };
  void run();
  void look_after(Patient& patient, TimePoint now);
  void strike(Patient& patient, TimePoint now);

  const FaultOptions options_;
  Random random_;
  std::vector<Patient> patients_;
  size_t sick_ = 0, most_sick_ = 0;
  std::array<std::atomic<int64_t>, kFaultKinds> struck_{};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace bessemer::failover
