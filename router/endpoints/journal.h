// What a prompt's choices have been given so far, in ids: all that another worker needs, besides the
// Start itself, to go on exactly there.
//
// Invariants
//   J1  next(choice) is the offset of the next token that the client is to get, whatever becomes of
//       the ids.
//   J2  Ids are kept while the budget has room. A journal that finds none is given up for good: its
//       stream goes on, but cannot be resumed.
//   J3  A choice that has ended takes nothing more, and is not run again.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bessemer/v1/engine.pb.h"

namespace bessemer {

// Bytes that the journals of all requests may take together. Any thread.
class JournalBudget {
 public:
  explicit JournalBudget(int64_t bytes) : left_(bytes) {}
  bool take(int64_t bytes) {
    if (left_.fetch_sub(bytes, std::memory_order_relaxed) >= bytes) return true;
    give(bytes);
    return false;
  }
  void give(int64_t bytes) { left_.fetch_add(bytes, std::memory_order_relaxed); }
  int64_t left() const { return left_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> left_;
};

// On the core of its request.
class Journal {
 public:
  // `prompt_tokens` count too: the prompt's ids are kept for as long.
  Journal(std::shared_ptr<JournalBudget> budget, size_t choices, size_t prompt_tokens);
  ~Journal() { give_up(); }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // How many of these, from the front, are there already; nothing where they differ from what is
  // there, or where that is not known any more. An ended choice has all.
  std::optional<size_t> known(size_t choice, uint32_t offset, std::span<const uint32_t> ids) const;
  void append(size_t choice, std::span<const uint32_t> ids);
  void end(size_t choice, v1::EndReason reason) { choices_[choice].end = reason; }

  uint32_t next(size_t choice) const { return choices_[choice].next; }
  bool ended(size_t choice) const { return choices_[choice].end != v1::END_UNSPECIFIED; }
  // Nothing is there yet: to begin anew is as good as to go on.
  bool empty() const;
  // Every choice has ended: nothing is left to be asked for.
  bool complete() const;
  bool kept() const { return kept_; }
  int64_t tokens() const;  // of all choices
  // Needs kept().
  void write(v1::Resume& resume) const;
  // Begins anew: nothing was given after all. What was given up stays so.
  void clear();

 private:
  struct Choice {
    std::vector<uint32_t> ids;
    uint32_t next = 0;
    v1::EndReason end = v1::END_UNSPECIFIED;
  };
  bool grow(Choice& choice, size_t tokens);
  void give_up();

  const std::shared_ptr<JournalBudget> budget_;  // a request may outlive its router's context
  int64_t taken_ = 0;
  bool kept_ = true;
  std::vector<Choice> choices_;
};

}  // namespace bessemer
