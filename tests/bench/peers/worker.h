// SPDX-License-Identifier: Apache-2.0
// Peer worker protocol: one process per peer, driven over stdin/stdout by bench.py so that all peers
// can be interleaved in one run (noise hits them alike) and load time / RSS are per peer.
//   run W N   -> W untimed + N timed inferences, answers "ns t1 t2 ..."
//   out       -> answers "out v1 v2 ..." (dequantised float outputs, NHWC where the peer allows)
//   prof      -> optional per-op profile
//   quit      -> answers "rss <peak KiB> <current KiB>"
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

struct Peer {
  virtual ~Peer() {}
  virtual bool load(const std::string& model, int threads) = 0;  // incl. filling the input
  virtual void run() = 0;
  virtual std::vector<float> out() = 0;
  virtual std::string prof() { return "none"; }
};

static inline uint64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
// Deterministic input: byte q in [0,255]; signed models use q-128.  Smooth, so that it looks like an image.
static inline uint8_t input_byte(size_t i, size_t n) {
  uint32_t h = (uint32_t)i * 2654435761u;
  return (uint8_t)(((i * 255 / (n ? n : 1)) + (h >> 27)) & 255);
}
static inline long vm_kb(const char* key) {
  std::ifstream f("/proc/self/status");
  std::string l;
  while (std::getline(f, l))
    if (l.compare(0, strlen(key), key) == 0) return atol(l.c_str() + strlen(key) + 1);
  return 0;
}

static int worker_main(Peer& p, const char* model, int threads) {
  uint64_t t0 = now_ns();
  if (!p.load(model, threads)) {
    printf("fail load\n");
    fflush(stdout);
    return 1;
  }
  uint64_t t1 = now_ns();
  p.run();
  uint64_t t2 = now_ns();
  printf("ready load_ms %.3f first_ms %.3f rss_kb %ld\n", static_cast<double>(t1 - t0) / 1e6,
         static_cast<double>(t2 - t1) / 1e6, vm_kb("VmRSS:"));
  fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream is(line);
    std::string c;
    is >> c;
    if (c == "run") {
      int w = 0, n = 0;
      is >> w >> n;
      for (int i = 0; i < w; i++) p.run();
      std::vector<uint64_t> t(n);
      for (int i = 0; i < n; i++) {
        uint64_t a = now_ns();
        p.run();
        t[i] = now_ns() - a;
      }
      std::string s = "ns";
      for (auto v : t) {
        s += ' ';
        s += std::to_string(v);
      }
      puts(s.c_str());
    } else if (c == "out") {
      std::string s = "out";
      char b[32];
      for (float v : p.out()) {
        snprintf(b, sizeof b, " %.6g", v);
        s += b;
      }
      puts(s.c_str());
    } else if (c == "prof") {
      puts(p.prof().c_str());
    } else {
      printf("rss %ld %ld\n", vm_kb("VmHWM:"), vm_kb("VmRSS:"));
      fflush(stdout);
      _Exit(0);
    }
    fflush(stdout);
  }
  return 0;
}
