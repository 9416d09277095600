// Masks once they are decided: their colours over an image, and labels that an engine returns.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "core/pixels.hpp"
#include "core/taps.hpp"

namespace segship {

namespace {

using std::size_t;

size_t label_at(const void *mask, std::int64_t bytes, size_t place) {
  if (bytes == 1) return static_cast<const std::uint8_t *>(mask)[place];
  return static_cast<const std::uint16_t *>(mask)[place];
}

size_t whole(std::int64_t number) { return static_cast<size_t>(number); }

}  // namespace

void overlay(const Spec &spec, const segship_image &image, const void *mask, double opacity, std::uint8_t *rgb) {
  const View view = view_photograph(image, true);
  const auto strong = static_cast<float>(opacity), weak = static_cast<float>(1 - opacity);
  size_t place = 0;
  for (std::int64_t y = 0; y < view.size.height; ++y) {
    const std::uint8_t *from = view.row(y);
    for (std::int64_t x = 0; x < view.size.width; ++x, ++place, from += view.step) {
      const size_t label = label_at(mask, spec.label_bytes(), place);
      for (size_t channel = 0; channel < 3; ++channel) {
        const std::uint8_t own = from[view.offset[channel]];
        if (label >= spec.palette.size()) {
          *rgb++ = own;
          continue;
        }
        const auto color = static_cast<float>((spec.palette[label] >> (16 - 8 * channel)) & 255);
        // OpenCV rounds the second product, then the sum: double precision holds the first product whole.
        const auto mixed = static_cast<float>(static_cast<double>(color) * static_cast<double>(strong) +
                                              static_cast<double>(static_cast<float>(own) * weak));
        *rgb++ = static_cast<std::uint8_t>(std::clamp(std::nearbyint(mixed), 0.0f, 255.0f));
      }
    }
  }
}

void resize_labels(const std::vector<std::uint16_t> &labels, Size size, const std::vector<Step> &steps,
                   std::int64_t bytes, void *mask) {
  std::vector<std::uint16_t> found = labels;
  for (const Step &step : steps) {
    const Taps rows = nearest(whole(size.height), whole(step.size.height));
    const Taps columns = nearest(whole(size.width), whole(step.size.width));
    std::vector<std::uint16_t> next;
    next.reserve(static_cast<size_t>(step.crop.height * step.crop.width));
    for (std::int64_t y = step.origin.height; y < step.origin.height + step.crop.height; ++y) {
      for (std::int64_t x = step.origin.width; x < step.origin.width + step.crop.width; ++x) {
        next.push_back(found[whole(rows.index[whole(y)]) * whole(size.width) + whole(columns.index[whole(x)])]);
      }
    }
    found = std::move(next);
    size = step.crop;
  }
  for (size_t place = 0; place < found.size(); ++place) {
    if (bytes == 1) {
      static_cast<std::uint8_t *>(mask)[place] = static_cast<std::uint8_t>(found[place]);
    } else {
      static_cast<std::uint16_t *>(mask)[place] = found[place];
    }
  }
}

}  // namespace segship
