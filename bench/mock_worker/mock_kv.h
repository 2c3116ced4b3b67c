// The blocks of a mock's sequences: the worker's own accounting and prefix cache (worker/kv), with
// nothing behind the blocks. One owner, the engine; the log alone may be read on other threads.
#pragma once
#include <cstdint>

#include "bench/mock_worker/mock_attempt.h"

namespace bessemer {

class MockKv {
 public:
  // `blocks` of 16 tokens; 0: there is always room, and nothing is cached.
  MockKv(int32_t blocks, uint64_t hash_domain);

  bool counts() const { return space_.total() > 0; }
  bool can_ever_hold(int64_t rows) const;
  // Finds what the cache has of the choice's history, takes blocks for all of it and one row more,
  // and says what is left to compute. False: there is no room now.
  bool place(MockAttempt& attempt, MockChoice& choice);
  // Room for the next row. False: somebody has to give up blocks first.
  bool grow(MockChoice& choice);
  // Full blocks of the rows that are computed can be found from now on.
  void enter(const MockAttempt& attempt, MockChoice& choice);
  static void give_up(MockChoice& choice);

  const KvSpace& space() const { return space_; }

 private:
  KvSpace space_;
};

}  // namespace bessemer
