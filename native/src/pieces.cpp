// segship.h: the pieces alone, and the overlay.
#include <algorithm>
#include <limits>

#include "api.hpp"
#include "core/pixels.hpp"
#include "core/result.hpp"

namespace segship {

Windows plan_image(const Spec &spec, Size image) {
  if (image.height < 1 || image.width < 1) {
    throw input_error("the image is empty: its size is " + text(image));
  }
  return plan_windows(spec, prepared_size(spec, image));
}

segship_plan describe(const Spec &spec, Size image) {
  const Windows windows = plan_image(spec, image);
  segship_plan plan{};
  if (windows.count() > std::numeric_limits<std::int32_t>::max()) throw input_error("the image has too many windows");
  const Size size = spec.embeds_pre ? image : windows.window;
  plan.windows = static_cast<std::int32_t>(spec.embeds_pre ? 1 : windows.count());
  plan.channels = static_cast<std::int32_t>(spec.embeds_pre ? 3 : spec.channels());
  plan.height = static_cast<std::int32_t>(size.height);
  plan.width = static_cast<std::int32_t>(size.width);
  plan.dtype = spec.embeds_pre ? SEGSHIP_UINT8 : SEGSHIP_FLOAT32;
  plan.decided = spec.decided ? 1 : 0;
  plan.input_bytes = product({plan.windows, plan.channels, size.height, size.width, spec.embeds_pre ? 1 : 4});
  plan.mask_bytes = product({image.height, image.width, spec.label_bytes()});
  plan.scores_bytes = spec.decided ? 0 : product({image.height, image.width, spec.score_channels(), 4});
  return plan;
}

void write_rgb(const segship_image &image, std::uint8_t *out) {
  const View view = view_photograph(image, true);
  for (std::int64_t y = 0; y < view.size.height; ++y) {
    const std::uint8_t *row = view.row(y);
    for (std::int64_t x = 0; x < view.size.width; ++x, row += view.step) {
      for (const std::size_t offset : view.offset) *out++ = row[offset];
    }
  }
}

namespace {

void decide(const Spec &spec, Size image, const segship_tensor *output, void *mask, float *scores) {
  const Windows windows = plan_image(spec, image);
  const segship_tensor &tensor = *required(output, "output");
  const std::int64_t count = spec.embeds_pre ? 1 : windows.count();
  if (tensor.windows != count) {
    throw backend_error("the output is of " + std::to_string(tensor.windows) + " windows, the image has " +
                        std::to_string(count));
  }
  if (tensor.channels < 1 || tensor.height < 1 || tensor.width < 1 || tensor.dtype < 0 || tensor.dtype > SEGSHIP_INT64) {
    throw input_error("the output is empty or of an unknown type");
  }
  constexpr std::int64_t sizes[] = {1, 2, 4, 4, 8};
  const std::int64_t bytes = product({tensor.height, tensor.width, sizes[tensor.dtype]});
  if (tensor.bytes / bytes / tensor.channels < count) {
    throw input_error("the output has " + std::to_string(tensor.bytes) + " bytes, fewer than its shape says");
  }
  Result result(spec, windows, image, mask, scores);
  const auto *data = static_cast<const std::uint8_t *>(required(tensor.data, "output"));
  for (std::int64_t window = 0; window < count; ++window) {
    result.add({data + window * bytes * tensor.channels, tensor.dtype, tensor.channels, {tensor.height, tensor.width}});
  }
}

}  // namespace

}  // namespace segship

using segship::guarded;
using segship::required;

segship_status segship_plan_image(const segship_spec *spec, int32_t height, int32_t width, segship_plan *plan) noexcept {
  return guarded([&] { *required(plan, "plan") = segship::describe(required(spec, "spec")->spec, {height, width}); });
}

segship_status segship_prepare(const segship_spec *spec, const segship_image *image, void *input,
                               size_t bytes) noexcept {
  return guarded([&] {
    const segship::Spec &own = required(spec, "spec")->spec;
    segship::check_image(*required(image, "image"), own);
    const segship_plan plan = segship::describe(own, {image->height, image->width});
    segship::require_room("the input", bytes, plan.input_bytes);
    required(input, "input");
    if (own.embeds_pre) return segship::write_rgb(*image, static_cast<std::uint8_t *>(input));
    const segship::Prepared prepared(own, *image);
    auto *out = static_cast<float *>(input);
    for (std::int64_t window = 0; window < plan.windows; ++window) {
      prepared.write(window, out + window * (plan.input_bytes / 4 / plan.windows));
    }
  });
}

segship_status segship_decide(const segship_spec *spec, int32_t height, int32_t width, const segship_tensor *output,
                              void *mask, size_t bytes) noexcept {
  return guarded([&] {
    const segship::Spec &own = required(spec, "spec")->spec;
    segship::require_room("the mask", bytes, segship::product({height, width, own.label_bytes()}));
    segship::decide(own, {height, width}, output, required(mask, "mask"), nullptr);
  });
}

segship_status segship_decide_scores(const segship_spec *spec, int32_t height, int32_t width,
                                     const segship_tensor *output, float *scores, size_t bytes) noexcept {
  return guarded([&] {
    const segship::Spec &own = required(spec, "spec")->spec;
    segship::require_room("the scores", bytes, segship::product({height, width, own.score_channels(), 4}));
    segship::decide(own, {height, width}, output, nullptr, required(scores, "scores"));
  });
}

segship_status segship_overlay(const segship_spec *spec, const segship_image *image, const void *mask,
                               size_t mask_bytes, double opacity, uint8_t *rgb, size_t bytes) noexcept {
  return guarded([&] {
    const segship::Spec &own = required(spec, "spec")->spec;
    if (own.stored) {
      throw segship::unsupported_error("an image of many bands has no colours of its own to draw over: draw the mask");
    }
    segship::check_image(*required(image, "image"), own);
    if (!(opacity >= 0 && opacity <= 1)) {
      throw segship::input_error("opacity is within 0-1, not " + std::to_string(opacity));
    }
    const std::int64_t pixels = std::int64_t{image->height} * image->width;
    segship::product({pixels, 3});
    if (mask_bytes != static_cast<std::uint64_t>(pixels * own.label_bytes())) {
      throw segship::input_error("the image has " + std::to_string(pixels) + " pixels of " +
                                 std::to_string(own.label_bytes()) + " bytes a label, its mask " +
                                 std::to_string(mask_bytes) + " bytes: they must be equal");
    }
    segship::require_room("the overlay", bytes, 3 * pixels);
    segship::overlay(own, *image, required(mask, "mask"), opacity, required(rgb, "rgb"));
  });
}
