#include "bench/micro/ceilings.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include <immintrin.h>

namespace bessemer::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kReadBytes = size_t{256} << 20;  // a thread's; no cache of a core holds it
constexpr int64_t kSteps = 4'000'000;             // of 12 independent instructions: some 15 ms

// Runs `work` on all threads at once; returns the time of the slowest.
double parallel_seconds(size_t threads, const std::function<void(size_t)>& work) {
  const auto begin = Clock::now();
  std::vector<std::thread> running;
  for (size_t i = 1; i < threads; ++i) running.emplace_back(work, i);
  work(0);
  for (std::thread& thread : running) thread.join();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Keeps `value` alive for the optimiser.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

constexpr size_t kWords = kReadBytes / sizeof(uint64_t);

// Four streams side by side, as the kernels' tiles and scales are: one alone leaves the prefetcher
// idle at every page's end.
__attribute__((target("avx2"))) void read_avx2(const uint64_t* memory) {
  constexpr size_t kStream = kWords / 4;
  __m256i sums[4] = {};
  for (size_t at = 0; at < kStream; at += 8) {
    for (size_t i = 0; i < 4; ++i) {
      const auto* line = reinterpret_cast<const __m256i*>(memory + i * kStream + at);
      sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(line));
      sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(line + 1));
    }
  }
  keep(sums);
}

void read_plain(const uint64_t* memory) {
  uint64_t sums[4] = {};
  for (size_t at = 0; at < kWords; at += 4) {
    for (size_t i = 0; i < 4; ++i) sums[i] ^= memory[at + i];
  }
  keep(sums);
}

// Twelve chains hide the latency of every instruction here and fit the registers.
#define BESSEMER_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

__attribute__((target("avx2,fma"))) void f32_avx2() {
  __m256 sums[12] = {};
  __m256 a = _mm256_set1_ps(1.000001f), b = _mm256_set1_ps(0.999999f);
  for (int64_t i = 0; i < kSteps; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
#define X(n) sums[n] = _mm256_fmadd_ps(a, b, sums[n]);
    BESSEMER_TWELVE(X)
#undef X
  }
  keep(sums);
}

// Pairs of 8-bit products, summed in 16 bits as the kernels do for 4-bit weights.
__attribute__((target("avx2"))) void int8_avx2() {
  __m256i sums[12] = {};
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  for (int64_t i = 0; i < kSteps; ++i) {
    // Hidden anew before each product, lest twelve equal ones become one.
#define X(n)                  \
  asm volatile("" : "+x"(a)); \
  sums[n] = _mm256_add_epi16(sums[n], _mm256_maddubs_epi16(a, b));
    BESSEMER_TWELVE(X)
#undef X
  }
  keep(sums);
}

__attribute__((target("avx512f"))) void f32_avx512() {
  __m512 sums[12] = {};
  __m512 a = _mm512_set1_ps(1.000001f), b = _mm512_set1_ps(0.999999f);
  for (int64_t i = 0; i < kSteps; ++i) {
    asm volatile("" : "+v"(a), "+v"(b));
#define X(n) sums[n] = _mm512_fmadd_ps(a, b, sums[n]);
    BESSEMER_TWELVE(X)
#undef X
  }
  keep(sums);
}

__attribute__((target("avx512f,avx512vnni"))) void int8_avx512() {
  __m512i sums[12] = {};
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int64_t i = 0; i < kSteps; ++i) {
    asm volatile("" : "+v"(a), "+v"(b));
#define X(n) sums[n] = _mm512_dpbusd_epi32(sums[n], a, b);
    BESSEMER_TWELVE(X)
#undef X
  }
  keep(sums);
}

constexpr int64_t kTileSteps = 200'000;  // of 4 products of 16 cycles: some 10 ms

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
};

// The kernel has given this process the tiles when the backend was made.
__attribute__((target("amx-tile,amx-int8"))) void int8_amx() {
  alignas(64) static const int8_t operand[1024] = {1};
  const TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, 64);
  _tile_loadd(5, operand, 64);
  for (int64_t i = 0; i < kTileSteps; ++i) {
    _tile_dpbssd(0, 4, 5);
    _tile_dpbssd(1, 4, 5);
    _tile_dpbssd(2, 4, 5);
    _tile_dpbssd(3, 4, 5);
  }
  _tile_release();
}

// 10^9 operations a second of `loop`, which does `multiply_adds` on each thread.
double peak(size_t threads, int64_t multiply_adds, void (*loop)()) {
  const double seconds = parallel_seconds(threads, [&](size_t) { loop(); });
  return 2.0 * static_cast<double>(multiply_adds) * static_cast<double>(threads) / seconds / 1e9;
}

}  // namespace

Ceilings::Ceilings(const std::string& isa, int32_t threads) : isa_(isa) {
  for (int32_t i = 0; i < threads; ++i) {
    memory_.push_back(host::allocate_array<uint64_t>(kWords));
    std::fill_n(memory_.back().get(), kWords, 1);
  }
}

double Ceilings::read_gb_s() const {
  const auto read = isa_ == "scalar" ? read_plain : read_avx2;
  const double seconds =
      parallel_seconds(memory_.size(), [&](size_t thread) { read(memory_[thread].get()); });
  return static_cast<double>(kReadBytes * memory_.size()) / seconds / 1e9;
}

double Ceilings::int8_gop_s() const {
  if (isa_ == "avx2") return peak(memory_.size(), kSteps * 12 * 32, int8_avx2);
  if (isa_ == "avx512") return peak(memory_.size(), kSteps * 12 * 64, int8_avx512);
  return isa_ == "amx" ? peak(memory_.size(), kTileSteps * 4 * 16 * 16 * 64, int8_amx) : 0;
}

double Ceilings::f32_gflop_s() const {
  if (isa_ == "avx2") return peak(memory_.size(), kSteps * 12 * 8, f32_avx2);
  return isa_ == "scalar" ? 0 : peak(memory_.size(), kSteps * 12 * 16, f32_avx512);
}

}  // namespace bessemer::bench
