// What varies from step to step. Host-side values go in (StepInputs); model code sees device
// handles only (Batch), so that a recorded step can be replayed after their contents changed.
#pragma once
#include <cstdint>
#include <vector>

namespace bessemer {

// Rows are the step's tokens; those of sequence s are [query_start[s], query_start[s + 1]). Rows
// behind the last sequence are padding.
struct StepInputs {
  struct Group {
    // Per row: block * block_tokens + offset where its KV goes; -1: stores nowhere.
    std::vector<int32_t> store_at;
    std::vector<int32_t> table;  // sequences x table_stride: block ids in order
    int32_t table_stride = 0;
    // Per sequence: positions valid after this step's rows are stored.
    std::vector<int32_t> kv_len;
  };
  std::vector<int32_t> ids;          // per row
  std::vector<int32_t> positions;    // per row
  std::vector<int32_t> query_start;  // sequences + 1
  std::vector<int32_t> out_rows;     // rows whose logits are wanted, rising
  std::vector<Group> groups;
};

// An array in the backend's memory.
struct DeviceInts {
  const int32_t* address = nullptr;
  int32_t count = 0;
};

struct Batch {
  struct Group {
    DeviceInts store_at, table, kv_len;
    int32_t table_stride = 0;
  };
  int32_t rows = 0, sequences = 0;
  int32_t longest_query = 0, longest_kv = 0;
  DeviceInts ids, positions, query_start, out_rows;
  std::vector<Group> groups;
};

}  // namespace bessemer
