// SPDX-License-Identifier: Apache-2.0
// Measures what one core of this machine can do at most: 8-bit multiply-adds per instruction set, read and copy
// bandwidth per cache level. Prints one JSON object; instruction sets that the processor lacks are left out.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using Clock = std::chrono::steady_clock;

constexpr long kIterations = 200'000;
constexpr int kRepeats = 100;

/// Work per nanosecond of the fastest of many short runs (about a millisecond each): on a shared machine some of them
/// are undisturbed.
template <class Loop>
double best(Loop loop, double work) {
  double rate = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = Clock::now();
    loop();
    const double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    rate = std::max(rate, work / ns);
  }
  return rate;
}

// The loops are written by hand so that the twelve accumulators stay in registers whatever the compiler thinks: twelve
// independent chains hide the latency of every multiply-add instruction on two ports.
#define CLOBBERS                                                                                                      \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm13", "xmm14", \
      "xmm15", "cc"
#define TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define SIX(F) F(0, 6) F(1, 7) F(2, 8) F(3, 9) F(4, 10) F(5, 11)
#define LOOP(BODY)          \
  long count = kIterations; \
  asm volatile("1:\n\t" BODY "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(count)::CLOBBERS)

void avx512_vnni() {
#define STEP(k) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #k "\n\t"
  LOOP(TWELVE(STEP));
#undef STEP
}

/// The same in the form that AVX512VL has: half as wide as the processor can.
void avx256_vnni() {
#define STEP(k) "%{evex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #k "\n\t"
  LOOP(TWELVE(STEP));
#undef STEP
}

void avx_vnni() {
#define STEP(k) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #k "\n\t"
  LOOP(TWELVE(STEP));
#undef STEP
}

/// u8 x s8 pairs summed in saturating 16 bits: exact for 7-bit operands only.
void avx2_maddubs() {
#define STEP(k, t)                                                                                            \
  "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #t "\n\tvpmaddwd %%ymm13, %%ymm" #t ", %%ymm" #t "\n\tvpaddd %%ymm" #t \
  ", %%ymm" #k ", %%ymm" #k "\n\t"
  LOOP(SIX(STEP));
#undef STEP
}

/// s16 x s16 pairs summed in 32 bits: always exact; the widening of the operands is not counted.
void avx2_madd() {
#define STEP(k, t) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #t "\n\tvpaddd %%ymm" #t ", %%ymm" #k ", %%ymm" #k "\n\t"
  LOOP(SIX(STEP));
#undef STEP
}

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14]{};
  std::uint16_t column_bytes[16]{};
  std::uint8_t rows[16]{};
};

/// 2x2 blocks of tiles with the four tile loads that a matrix product cannot avoid.
__attribute__((target("amx-tile,amx-int8"))) void amx() {
  alignas(64) static std::int8_t memory[64 * 1024];
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.column_bytes[i] = 64;
    config.rows[i] = 16;
  }
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (long i = 0; i < kIterations / 16; ++i) {
    const std::int8_t* block = memory + (i & 7) * 4096;
    _tile_loadd(4, block, 64);
    _tile_loadd(5, block + 1024, 64);
    _tile_loadd(6, block + 2048, 64);
    _tile_loadd(7, block + 3072, 64);
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, memory, 64);
  _tile_release();
}

/// Linux hands out the AMX registers on request only (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA is component 18).
bool amx_usable() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return __builtin_cpu_supports("amx-int8") && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

__attribute__((target("avx2"))) std::int64_t read_all(const char* bytes, std::size_t size) {
  __m256i sum = _mm256_setzero_si256();
  for (std::size_t i = 0; i < size; i += 128) {
    for (std::size_t k = 0; k < 128; k += 32) {
      sum = _mm256_xor_si256(sum, _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes + i + k)));
    }
  }
  return _mm256_extract_epi64(sum, 0);
}

struct Bandwidth {
  double read_gbs, copy_gbs;
};

Bandwidth bandwidth(std::size_t size) {
  auto* from = static_cast<char*>(std::aligned_alloc(64, size));
  auto* to = static_cast<char*>(std::aligned_alloc(64, size));
  std::memset(from, 1, size);
  std::memset(to, 1, size);
  const long repeats = std::max<long>(1, (1L << 26) / static_cast<long>(size));
  const double bytes = static_cast<double>(repeats) * static_cast<double>(size);
  volatile std::int64_t sink = 0;
  const auto read = [&] {
    for (long i = 0; i < repeats; ++i) sink = read_all(from, size);
  };
  const auto copy = [&] {
    for (long i = 0; i < repeats; ++i) {
      std::memcpy(to, from, size);
      asm volatile("" ::: "memory");
    }
  };
  const Bandwidth result{best(read, bytes), best(copy, bytes)};
  std::free(from);
  std::free(to);
  return result;
}

/// A chain of dependent additions takes one cycle each: cycles per nanosecond.
double clock_ghz() {
  constexpr long kAdditions = 2'000'000;
  const auto chain = [] {
    long x = 1;
    for (long i = 0; i < kAdditions; ++i) asm volatile("add $1, %0" : "+r"(x));
  };
  return best(chain, static_cast<double>(kAdditions));
}

}  // namespace

int main() {
  if (!__builtin_cpu_supports("avx2")) {
    std::fprintf(stderr, "peak: this processor has no AVX2\n");
    return 1;
  }
  const auto iterations = static_cast<double>(kIterations);
  std::printf("{\"clock_ghz\": %.3f", clock_ghz());
  std::printf(", \"avx2_madd_gmacs\": %.1f", best(avx2_madd, iterations * 6 * 16));
  std::printf(", \"avx2_maddubs_gmacs\": %.1f", best(avx2_maddubs, iterations * 6 * 32));
  if (__builtin_cpu_supports("avxvnni")) {
    std::printf(", \"avxvnni_gmacs\": %.1f", best(avx_vnni, iterations * 12 * 32));
  }
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl")) {
    std::printf(", \"avx256vnni_gmacs\": %.1f", best(avx256_vnni, iterations * 12 * 32));
    std::printf(", \"avx512vnni_gmacs\": %.1f", best(avx512_vnni, iterations * 12 * 64));
  }
  if (amx_usable()) std::printf(", \"amx_gmacs\": %.1f", best(amx, iterations / 16 * 4 * 16 * 16 * 64));
  for (const std::size_t kib : {std::size_t{32}, std::size_t{1024}, std::size_t{64 * 1024}}) {
    const auto [read_gbs, copy_gbs] = bandwidth(kib * 1024);
    std::printf(", \"read_%zukib_gbs\": %.1f, \"copy_%zukib_gbs\": %.1f", kib, read_gbs, kib, copy_gbs);
  }
  std::printf("}\n");
}
