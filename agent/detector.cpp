// SPDX-License-Identifier: Apache-2.0
// Loads a model with its card and runs it on pictures.
#include "agent/detector.h"

#include <algorithm>
#include <format>

#include "agent/sha256.h"

namespace wayside::agent {
namespace {

base::Result<ModelCard> find_card(const DetectorOptions& options, const accel::Session& session) {
  if (!options.card.empty()) return load_model_card(options.card, !options.signed_card);
  return model_card_for(options.file, session);
}

base::Result<void> apply(const SignedCard& from, ModelCard& card) {
  card.name = from.name;
  card.version = from.version;
  if (!from.labels.empty()) card.labels = from.labels;
  if (from.decoder == "raw") return {};
  if (from.decoder != to_string(card.decoder.type)) {
    return base::fail(base::Code::invalid_argument, std::format("the manifest's decoder is {}, the card's is {}",
                                                                from.decoder, to_string(card.decoder.type)));
  }
  card.decoder.score_threshold = from.score_threshold;
  card.decoder.iou_threshold = from.iou_threshold;
  card.decoder.max_detections = std::min(from.max_detections, kMaxDetections);
  return {};
}

base::Result<std::vector<bool>> label_mask(const std::vector<std::string>& wanted, const ModelCard& card) {
  std::vector<bool> mask;
  if (wanted.empty()) return mask;
  mask.resize(card.labels.size());
  for (const auto& label : wanted) {
    const auto found = std::ranges::find(card.labels, label);
    if (found == card.labels.end()) {
      std::string known;
      for (const auto& name : card.labels) known += (known.empty() ? "" : ", ") + name;
      return base::fail(base::Code::invalid_argument,
                        std::format("the model has no label \"{}\"; it has: {}", label, known));
    }
    mask[static_cast<std::size_t>(found - card.labels.begin())] = true;
  }
  return mask;
}

base::Result<std::unique_ptr<Detector>> with_file(base::Error error, const std::filesystem::path& file) {
  if (error.message.find(file.string()) == std::string::npos) error.context(std::format("model {}", file.string()));
  return std::unexpected(std::move(error));
}

}  // namespace

Detector::Detector(std::unique_ptr<accel::Session> session, accel::Preprocessor preprocessor, base::JpegDecoder jpeg,
                   base::Clock& clock)
    : session_(std::move(session)), preprocessor_(std::move(preprocessor)), jpeg_(std::move(jpeg)), clock_(clock) {}

base::Result<std::unique_ptr<Detector>> Detector::create(const DetectorOptions& options,
                                                         accel::Accelerator& accelerator, base::Clock& clock) {
  auto session = accelerator.load(options.file,
                                  {.thread_count = options.thread_count, .spin = options.spin, .cores = options.cores});
  if (!session) return with_file(std::move(session).error(), options.file);
  auto card = find_card(options, **session);
  if (!card) return with_file(std::move(card).error(), options.file);
  if (options.signed_card) {
    if (auto done = apply(*options.signed_card, *card); !done) return with_file(std::move(done).error(), options.file);
  }
  if (options.score_threshold) card->decoder.score_threshold = *options.score_threshold;
  auto mask = label_mask(options.labels, *card);
  if (!mask) return with_file(std::move(mask).error(), options.file);
  for (std::size_t id = 0; id < mask->size(); ++id) {
    if ((*mask)[id]) card->decoder.wanted_classes.push_back(static_cast<std::uint16_t>(id));
  }
  auto spec = preprocess_spec(*card, **session);
  if (!spec) return with_file(std::move(spec).error(), options.file);
  auto preprocessor = accel::Preprocessor::create(*spec);
  if (!preprocessor) return with_file(std::move(preprocessor).error(), options.file);
  WAYSIDE_TRY(auto jpeg, base::JpegDecoder::create());

  std::unique_ptr<Detector> detector(
      new Detector(std::move(*session), std::move(*preprocessor), std::move(jpeg), clock));
  detector->card_ = std::move(*card);
  detector->reported_ = std::move(*mask);
  detector->model_index_ = options.model_index;
  auto decoder = make_decoder(detector->card_, *detector->session_);
  if (!decoder) return with_file(std::move(decoder).error(), options.file);
  detector->decoder_ = std::move(*decoder);
  auto sha256 = sha256_of_file(options.file);
  if (!sha256) return with_file(std::move(sha256).error(), options.file);
  detector->sha256_ = std::move(*sha256);
  return detector;
}

base::Result<base::ImageView> Detector::process(const base::ImageView& image, FrameReport& report) {
  const auto stage = [&report](Stage which) -> auto& { return report.times[static_cast<std::size_t>(which)]; };
  auto mark = clock_.now();
  const auto lap = [&] {
    const auto now = clock_.now();
    const auto took = now - mark;
    mark = now;
    return took;
  };

  base::ImageView picture = image;
  if (image.format == base::PixelFormat::mjpeg) {
    const auto& plane = image.planes[0];
    WAYSIDE_TRY(picture, jpeg_.decode({reinterpret_cast<const std::byte*>(plane.data), plane.size_bytes}));
  }
  stage(Stage::decode) = lap();

  WAYSIDE_TRY(const auto mapping, preprocessor_.run(picture, {}, session_->input(0)));
  stage(Stage::preprocess) = lap();

  WAYSIDE_CHECK(session_->run());
  stage(Stage::inference) = lap();

  report.model = model_index_;
  report.count = 0;
  for (const Detection& detection : decoder_->decode(*session_, mapping)) {
    const auto class_id = static_cast<std::size_t>(detection.class_id);
    if (!reported_.empty() && (class_id >= reported_.size() || !reported_[class_id])) continue;
    if (report.count == FrameReport::kMaxDetections) break;  // they come strongest first
    report.detections[report.count++] = detection;
  }
  stage(Stage::postprocess) = lap();
  report.width_px = picture.width_px;
  report.height_px = picture.height_px;
  return picture;
}

std::string Detector::describe() const {
  const auto& shape = session_->inputs()[0].shape;
  const auto& info = session_->info();
  constexpr double kMib = 1024.0 * 1024.0;
  return std::format("{} {}x{} decoder={} labels={} mmac={:.0f} arena_mib={:.1f} weights_mib={:.1f}", card_.name,
                     shape.size() > 2 ? shape[2] : 0, shape.size() > 1 ? shape[1] : 0, to_string(card_.decoder.type),
                     card_.labels.size(), static_cast<double>(info.mac_count) / 1e6,
                     static_cast<double>(info.arena_bytes) / kMib, static_cast<double>(info.weight_bytes) / kMib);
}

}  // namespace wayside::agent
