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
constexpr int kRounds = 5;                        // the best counts: it is a ceiling
constexpr int64_t kSteps = 4'000'000;             // of 12 independent instructions: some 15 ms

double seconds_of(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Runs `work` on all threads at once; returns the time of the slowest, the best of several rounds.
double best_parallel(int32_t threads, const std::function<void(int32_t)>& work) {
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    best = std::min(best, seconds_of([&] {
                      std::vector<std::thread> running;
                      for (int32_t i = 1; i < threads; ++i) running.emplace_back(work, i);
                      work(0);
                      for (std::thread& thread : running) thread.join();
                    }));
  }
  return best;
}

// Keeps `value` alive for the optimiser.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

double read_bandwidth(int32_t threads) {
  std::vector<std::vector<uint64_t>> memory(static_cast<size_t>(threads));
  for (auto& piece : memory) piece.assign(kReadBytes / sizeof(uint64_t), 1);
  const double seconds = best_parallel(threads, [&](int32_t thread) {
    const uint64_t* at = memory[static_cast<size_t>(thread)].data();
    const uint64_t* end = at + kReadBytes / sizeof(uint64_t);
    __m128i sums[4] = {};
    for (; at < end; at += 8) {
      for (int i = 0; i < 4; ++i) {
        sums[i] = _mm_xor_si128(sums[i], _mm_load_si128(reinterpret_cast<const __m128i*>(at) + i));
      }
    }
    keep(sums);
  });
  return static_cast<double>(kReadBytes) * threads / seconds / 1e9;
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
    asm volatile("" : "+x"(a), "+x"(b));
#define X(n) sums[n] = _mm256_add_epi16(sums[n], _mm256_maddubs_epi16(a, b));
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

// 10^9 operations a second of `loop`, in which an instruction does `lanes` multiply-adds.
double peak(int32_t threads, int lanes, void (*loop)()) {
  const double seconds = best_parallel(threads, [&](int32_t) { loop(); });
  return 2.0 * lanes * 12 * static_cast<double>(kSteps) * threads / seconds / 1e9;
}

}  // namespace

Ceilings measure_ceilings(const std::string& isa, int32_t threads) {
  Ceilings ceilings{.read_gb_s = read_bandwidth(threads)};
  if (isa == "avx2") {
    ceilings.f32_gflop_s = peak(threads, 8, f32_avx2);
    ceilings.int8_gop_s = peak(threads, 32, int8_avx2);
  } else if (isa == "avx512") {
    ceilings.f32_gflop_s = peak(threads, 16, f32_avx512);
    ceilings.int8_gop_s = peak(threads, 64, int8_avx512);
  }
  return ceilings;
}

}  // namespace bessemer::bench
