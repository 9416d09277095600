// segship.h: packages opened, and their masks.
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "api.hpp"
#include "core/pixels.hpp"
#include "core/result.hpp"
#include "core/text.hpp"
#include "runtime/engine.hpp"
#include "runtime/package.hpp"

namespace segship {

namespace {

constexpr std::int64_t kMaximumPixels = 100'000'000;

}  // namespace

std::string shape_text(const std::string &name, const std::vector<std::int64_t> &shape) {
  std::string text = name + " (";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) text += (axis ? ", " : "") + std::to_string(shape[axis]);
  return text + ")";
}

Output as_output(const void *data, std::int32_t dtype, const std::vector<std::int64_t> &shape) {
  Output output;
  output.data = data;
  output.dtype = dtype;
  const std::size_t rank = shape.size();
  bool known = rank >= 2 && rank <= 4;
  for (const std::int64_t side : shape) known = known && side > 0;
  if (rank == 4) known = known && shape[0] == 1;
  // Three axes of labels are (batch, height, width).
  if (!known || (rank == 3 && shape[0] != 1)) {
    throw backend_error("the engine returns " + shape_text("an output", shape) +
                        ": expected (1, channels, height, width), or labels (height, width)");
  }
  output.channels = rank == 4 ? shape[1] : 1;
  output.size = {shape[rank - 2], shape[rank - 1]};
  return output;
}

}  // namespace segship

struct segship_segmentor {
  segship_spec spec;
  std::int64_t max_pixels = 0;
  std::unique_ptr<segship::Engine> engine;
};

namespace segship {

namespace {

void run(const segship_segmentor &segmentor, const segship_image &image, void *mask, float *scores) {
  const Spec &spec = segmentor.spec.spec;
  const Size size{image.height, image.width};
  if (spec.embeds_pre) {
    const Windows windows = plan_image(spec, size);
    Result result(spec, windows, size, mask, scores);
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(3 * size.height * size.width));
    write_rgb(image, rgb.data());
    segmentor.engine->run(rgb.data(), SEGSHIP_UINT8, {size.height, size.width, 3},
                          [&](const Output &output) { result.add(output); });
    return;
  }
  const Prepared prepared(spec, image);
  const Windows &windows = prepared.windows();
  Result result(spec, windows, size, mask, scores);
  const std::vector<std::int64_t> shape{1, spec.channels(), windows.window.height, windows.window.width};
  const std::unique_ptr<float[]> input(new float[static_cast<std::size_t>(shape[1] * shape[2] * shape[3])]);
  for (std::int64_t window = 0; window < windows.count(); ++window) {
    prepared.write(window, input.get());
    segmentor.engine->run(input.get(), SEGSHIP_FLOAT32, shape, [&](const Output &output) { result.add(output); });
  }
}

// Tells in millions, where these tell the image from the limit.
Error huge_image(const segship_image &image, std::int64_t pixels, std::int64_t limit) {
  const auto millions = [](std::int64_t count) {
    return std::to_string(std::llrint(static_cast<double>(count) / 1e6)) + " million";
  };
  const bool exact = limit < 1'000'000 || millions(pixels) == millions(limit);
  return input_error("the image is too large: " + std::to_string(image.width) + "x" + std::to_string(image.height) +
                     " pixels are " + (exact ? grouped(pixels) : millions(pixels)) + ", the limit is " +
                     (exact ? grouped(limit) : millions(limit)) + "; shrink it or raise the limit");
}

void check(const segship_segmentor *segmentor, const segship_image *image) {
  required(segmentor, "segmentor");
  required(image, "image");
  const std::int64_t pixels = std::int64_t{image->height} * image->width;
  if (image->height > 0 && image->width > 0 && pixels > segmentor->max_pixels) {
    throw huge_image(*image, pixels, segmentor->max_pixels);
  }
  check_image(*image, segmentor->spec.spec);
}

// What the caller said, for as much of it as its struct has.
segship_options known_options(const segship_options *given) {
  segship_options options;
  segship_options_init(&options);
  if (given == nullptr) return options;
  if (given->struct_size < offsetof(segship_options, runtime) || given->struct_size > 4096) {
    throw input_error("the options are not set up: call segship_options_init first");
  }
  std::memcpy(&options, given, std::min<std::size_t>(given->struct_size, sizeof(options)));
  if (options.threads < 0) throw input_error("threads is " + std::to_string(options.threads) + ", expected at least 0");
  return options;
}

}  // namespace

}  // namespace segship

using segship::guarded;
using segship::required;

void segship_options_init(segship_options *options) noexcept {
  if (options == nullptr) return;
  *options = segship_options{};
  options->struct_size = sizeof(segship_options);
}

segship_status segship_open(const char *package, const segship_options *options,
                            segship_segmentor **segmentor) noexcept {
  return guarded([&] {
    required(segmentor, "segmentor");
    const std::string folder = segship::tidied(required(package, "package"));
    const segship_options settings = segship::known_options(options);
    auto opened = std::make_unique<segship_segmentor>();
    opened->max_pixels = settings.max_pixels > 0 ? settings.max_pixels : segship::kMaximumPixels;
    segship::Spec &spec = opened->spec.spec;
    spec = segship::read_package(folder);
    const segship::EngineOptions engine{folder + "/" + spec.files.front(),
                                        settings.runtime == nullptr ? "" : settings.runtime,
                                        settings.device != nullptr ? settings.device : spec.backend == "rknn" ? "npu" : "cpu",
                                        settings.threads,
                                        spec.precision,
                                        spec.input_name,
                                        spec.output_name};
    if (spec.backend == "onnxruntime") {
      opened->engine = segship::open_onnxruntime(engine);
    } else if (spec.backend == "openvino") {
      opened->engine = segship::open_openvino(engine);
    } else if (spec.backend == "rknn") {
      opened->engine = segship::open_rknn(engine);
    } else {
      throw segship::unsupported_error(folder + " is a package of " + spec.backend +
                                       ": this library runs those of onnxruntime, openvino and rknn");
    }
    *segmentor = opened.release();
  });
}

void segship_close(segship_segmentor *segmentor) noexcept { delete segmentor; }

const segship_spec *segship_segmentor_spec(const segship_segmentor *segmentor) noexcept {
  return segmentor == nullptr ? nullptr : &segmentor->spec;
}

const char *segship_segmentor_engine(const segship_segmentor *segmentor) noexcept {
  return segmentor == nullptr ? "" : segmentor->engine->description().c_str();
}

segship_status segship_mask(const segship_segmentor *segmentor, const segship_image *image, void *mask,
                            size_t bytes) noexcept {
  return guarded([&] {
    segship::check(segmentor, image);
    segship::require_room("the mask", bytes,
                          segship::product({image->height, image->width, segmentor->spec.spec.label_bytes()}));
    segship::run(*segmentor, *image, required(mask, "mask"), nullptr);
  });
}

segship_status segship_scores(const segship_segmentor *segmentor, const segship_image *image, float *scores,
                              size_t bytes) noexcept {
  return guarded([&] {
    segship::check(segmentor, image);
    segship::require_room("the scores", bytes,
                          segship::product({image->height, image->width, segmentor->spec.spec.score_channels(), 4}));
    segship::run(*segmentor, *image, nullptr, required(scores, "scores"));
  });
}
