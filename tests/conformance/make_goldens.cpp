// SPDX-License-Identifier: Apache-2.0
// make_goldens OUT_FOLDER CORPUS_FOLDER [MODELS_FOLDER]: records what TFLite's reference kernels compute; see
// tools/make_goldens.
#include <cstdio>
#include <filesystem>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/reference.h"

int main(int count, char** arguments) {
  using namespace wayside::conformance;
  if (count < 3 || count > 4) {
    std::fprintf(stderr, "usage: make_goldens OUT_FOLDER CORPUS_FOLDER [MODELS_FOLDER]\n");
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  Suite suite;
  add_convolutions(suite);
  add_elementwise(suite);
  add_windows(suite);
  add_movement(suite);
  add_graphs(suite);
  auto written = suite.write(folder);
  if (written) written = suite.write_corpus(arguments[2]);
  if (written && count == 4) written = write_real_models(arguments[3], folder / "real_models.golden");
  if (!written) {
    std::fprintf(stderr, "make_goldens: %s\n", written.error().message.c_str());
    return 1;
  }
  return 0;
}
