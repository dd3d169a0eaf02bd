// SPDX-License-Identifier: Apache-2.0
// Reader of the .flat graph written by ir.py (text graph + .bin blob).
#pragma once
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>
struct FT {
  std::string dt;
  float scale;
  int zp;
  int ns, qdim;
  size_t off, len, soff;
  std::vector<size_t> shape;
  size_t n() const {
    size_t k = 1;
    for (auto d : shape) k *= d;
    return k;
  }
};
struct FO {
  std::string kind, act;
  int kh, kw, sh, sw, dh, dw, pt, pl, pb, pr, axis;
  std::vector<int> in, out;
};
struct Flat {
  std::vector<FT> t;
  std::vector<FO> ops;
  std::vector<int> inputs, outputs;
  std::vector<char> blob;
  bool load(const std::string& p) {
    std::ifstream f(p);
    if (!f) return false;
    std::string l;
    while (std::getline(f, l)) {
      std::istringstream s(l);
      std::string k;
      s >> k;
      if (k == "tensor") {
        FT x;
        int id, nd;
        s >> id >> x.dt >> x.scale >> x.zp >> x.ns >> x.qdim >> x.off >> x.len >> x.soff >> nd;
        x.shape.resize(nd);
        for (auto& d : x.shape) s >> d;
        t.push_back(x);
      } else if (k == "op") {
        FO o;
        int n;
        s >> o.kind >> o.act >> o.kh >> o.kw >> o.sh >> o.sw >> o.dh >> o.dw >> o.pt >> o.pl >> o.pb >> o.pr >> o.axis;
        s >> n;
        o.in.resize(n);
        for (auto& i : o.in) s >> i;
        s >> n;
        o.out.resize(n);
        for (auto& i : o.out) s >> i;
        ops.push_back(o);
      } else if (k == "inputs" || k == "outputs") {
        int n;
        s >> n;
        auto& v = k == "inputs" ? inputs : outputs;
        v.resize(n);
        for (auto& i : v) s >> i;
      }
    }
    std::ifstream b(p + ".bin", std::ios::binary | std::ios::ate);
    if (!b) return false;
    blob.resize((size_t)b.tellg() + 64);
    b.seekg(0);
    b.read(blob.data(), blob.size() - 64);
    return true;
  }
};
