// SPDX-License-Identifier: Apache-2.0
// Frames through pre-processing and engine, written down.
#include "agent/golden_command.h"

#include <cstdio>
#include <format>
#include <fstream>

#include "accel/preprocess/preprocess.h"
#include "agent/vision/model_card.h"
#include "base/codec/jpeg_decoder.h"
#include "drivers/camera/camera.h"

namespace wayside::agent {
namespace {

/// Frames between two cases: pictures that differ.
constexpr unsigned kFramesApart = 15;
constexpr std::chrono::seconds kFrameWait{10};

base::Result<void> append(std::ofstream& file, std::span<const std::byte> bytes) {
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) return base::fail(base::Code::io, "the golden set cannot be written; is the disk full?");
  return {};
}

struct Golden {
  std::unique_ptr<accel::Session> session;
  std::optional<accel::Preprocessor> preprocessor;
  std::optional<base::JpegDecoder> jpeg;
  std::ofstream inputs, outputs;

  base::Result<void> take(const base::ImageView& frame) {
    base::ImageView picture = frame;
    if (frame.format == base::PixelFormat::mjpeg) {
      const auto& plane = frame.planes[0];
      WAYSIDE_TRY(picture, jpeg->decode({reinterpret_cast<const std::byte*>(plane.data), plane.size_bytes}));
    }
    WAYSIDE_CHECK(preprocessor->run(picture, {}, session->input(0)));
    WAYSIDE_CHECK(append(inputs, session->input(0)));
    WAYSIDE_CHECK(session->run());
    for (std::size_t i = 0; i < session->outputs().size(); ++i) WAYSIDE_CHECK(append(outputs, session->output(i)));
    return {};
  }
};

base::Result<Golden> open_golden(const GoldenOptions& options, accel::Accelerator& accelerator) {
  Golden golden;
  WAYSIDE_TRY(golden.session, accelerator.load(options.model, {.thread_count = 1}));
  WAYSIDE_TRY(const auto card,
              options.card.empty() ? model_card_for(options.model, *golden.session) : load_model_card(options.card));
  WAYSIDE_TRY(const auto spec, preprocess_spec(card, *golden.session));
  WAYSIDE_TRY(golden.preprocessor, accel::Preprocessor::create(spec));
  WAYSIDE_TRY(golden.jpeg, base::JpegDecoder::create());
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  golden.inputs.open(options.out / "golden.in", std::ios::binary | std::ios::trunc);
  golden.outputs.open(options.out / "golden.out", std::ios::binary | std::ios::trunc);
  if (!golden.inputs || !golden.outputs) {
    return base::fail(base::Code::io,
                      std::format("cannot write into {}; name a writable folder", options.out.string()));
  }
  return golden;
}

base::Result<std::string> make(const GoldenOptions& options) {
  const auto accelerator = accel::make_cpu_accelerator();
  WAYSIDE_TRY(auto golden, open_golden(options, *accelerator));
  WAYSIDE_TRY(auto camera, drivers::open_camera(options.source));
  WAYSIDE_TRY(const auto format, camera->configure({}));
  WAYSIDE_CHECK(camera->start());
  unsigned taken = 0;
  for (unsigned seen = 0; taken < options.cases; ++seen) {
    auto frame = camera->next(kFrameWait);
    if (!frame && frame.error().code == base::Code::corrupt) continue;
    if (!frame) return std::unexpected(std::move(frame.error().context(camera->describe())));
    if (seen % kFramesApart != 0) continue;
    WAYSIDE_CHECK(golden.take(frame->image()));
    ++taken;
  }
  camera->stop();
  golden.inputs.flush();
  golden.outputs.flush();
  return std::format("{{\"count\": {}, \"inputs\": \"{}\", \"outputs\": \"{}\"}}", taken,
                     (options.out / "golden.in").string(), (options.out / "golden.out").string());
}

}  // namespace

int golden_command(const GoldenOptions& options, Output output) {
  const auto made = make(options);
  if (!made) {
    std::fprintf(stderr, "waysided: %s\n", made.error().message.c_str());
    return 1;
  }
  if (output == Output::json) {
    std::puts(made->c_str());
  } else {
    std::printf("%u cases in %s: golden.in, golden.out; for a recipe (wayside package make)\n", options.cases,
                options.out.string().c_str());
  }
  return 0;
}

}  // namespace wayside::agent
