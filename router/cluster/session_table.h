// Where each session's last request went: what breaks ties between workers. A fixed table, the same
// for all cores; a session that another one overwrites has lost nothing but its preference.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace bessemer {

// The key of a session that a client names, within whose prefixes it is (Start.cache.root); 0 for
// an empty name.
uint64_t session_key(std::string_view root, std::string_view name);

class SessionTable {
 public:
  // 64 Ki sessions in 512 KiB: a day of one user's, or some minutes of a thousand requests a second.
  static constexpr size_t kSlots = 1 << 16;

  // Any thread. Of key 0 nothing is kept.
  void note(uint64_t key, uint32_t worker);
  std::optional<uint32_t> worker_of(uint64_t key) const;

 private:
  // The upper bits of the key, so that another session of the slot is told apart, and worker + 1.
  static constexpr int kWorkerBits = 16;
  std::vector<std::atomic<uint64_t>> slots_ = std::vector<std::atomic<uint64_t>>(kSlots);
};

}  // namespace bessemer
