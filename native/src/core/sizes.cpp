// Sizes of images on their way to the network. Double precision in the order that Python computes it: the rounding of a
// half decides whether a mask is one column wider.
#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/spec.hpp"

namespace segship {

namespace {

// No honest step makes an image larger than this, and products of two sides stay within 64 bits.
constexpr double kLargest = 1 << 30;

// Refuse what would fill the memory, before it is allocated.
void require_moderate(Size size, Size image) {
  constexpr std::int64_t most = std::int64_t{1} << 27;
  if (size.height * size.width <= std::max(most, 4 * image.height * image.width)) return;
  throw input_error("an image of " + text(image) + " pixels (height x width) would become " + text(size) +
                    ", more than " + std::to_string(most) +
                    " pixels: the size rule of the network is not meant for it");
}

std::int64_t whole(double value) {
  if (!(value < kLargest)) throw input_error("the image would become larger than 2^30 pixels a side");
  return static_cast<std::int64_t>(value);
}

// Halves to even, as Python's round.
std::int64_t nearest(double value) { return whole(std::nearbyint(value)); }

Placement resized(std::int64_t height, std::int64_t width) { return {{height, width}, {height, width}, {0, 0}}; }

// The largest size of the same aspect ratio whose long and short edge stay within the larger and smaller limit.
Placement within(std::int64_t one, std::int64_t other, Size image) {
  const double factor =
      std::min(static_cast<double>(std::max(one, other)) / static_cast<double>(std::max(image.height, image.width)),
               static_cast<double>(std::min(one, other)) / static_cast<double>(std::min(image.height, image.width)));
  return resized(whole(static_cast<double>(image.height) * factor + 0.5),
                 whole(static_cast<double>(image.width) * factor + 0.5));
}

Placement shortest_edge(const GeometryStep &step, Size image) {
  const double size = static_cast<double>(step.size);
  const double height = static_cast<double>(image.height), width = static_cast<double>(image.width);
  const double factor = size / std::min(height, width);
  double new_height = size, new_width = factor * width;
  if (!(height < width)) new_height = factor * height, new_width = size;
  const double longest = std::max(new_height, new_width);
  if (longest > static_cast<double>(step.max_size)) {
    const double shrink = static_cast<double>(step.max_size) / longest;
    new_height *= shrink;
    new_width *= shrink;
  }
  return within(whole(new_width + 0.5), whole(new_height + 0.5), image);
}

Placement edges(const GeometryStep &step, Size image) {
  const std::int64_t low = std::min(image.height, image.width), high = std::max(image.height, image.width);
  const double short_side = static_cast<double>(low), long_side = static_cast<double>(high);
  std::int64_t sides[2] = {low, high};
  if (step.enlarge_only) {
    if (low < step.shortest) {
      sides[0] = step.shortest;
      sides[1] = whole(long_side / short_side * static_cast<double>(step.shortest));
    }
  } else {
    double exact = static_cast<double>(step.shortest);
    if (step.longest && long_side / short_side * exact > static_cast<double>(step.longest)) {
      exact = static_cast<double>(step.longest) * short_side / long_side;
    }
    if (nearest(exact) != low) {
      sides[0] = nearest(exact);
      sides[1] = whole(exact * long_side / short_side);
    }
  }
  const Size size = image.height <= image.width ? Size{sides[0], sides[1]} : Size{sides[1], sides[0]};
  const Size padded = padded_size(size, 0, 0, step.multiple_of);
  return resized(padded.height, padded.width);
}

Placement by_edge(const GeometryStep &step, Size image) {
  const double low = static_cast<double>(std::min(image.height, image.width));
  const double high = static_cast<double>(std::max(image.height, image.width));
  double factor = HUGE_VAL;
  if (step.shortest) factor = std::min(factor, static_cast<double>(step.shortest) / low);
  if (step.longest) factor = std::min(factor, static_cast<double>(step.longest) / high);
  const Size size{nearest(static_cast<double>(image.height) * factor), nearest(static_cast<double>(image.width) * factor)};
  const Size padded = padded_size(size, 0, 0, step.multiple_of);
  return resized(padded.height, padded.width);
}

Placement near(const GeometryStep &step, Size image) {
  const double tall = static_cast<double>(step.height) / static_cast<double>(image.height);
  const double wide = static_cast<double>(step.width) / static_cast<double>(image.width);
  const double scale = std::abs(1 - wide) < std::abs(1 - tall) ? wide : tall;
  const double multiple = static_cast<double>(step.multiple_of);
  const auto side = [&](std::int64_t length) {
    return nearest(scale * static_cast<double>(length) / multiple) * step.multiple_of;
  };
  return resized(side(image.height), side(image.width));
}

Placement within_frame(const GeometryStep &step, Size image) {
  const double height = static_cast<double>(image.height), width = static_cast<double>(image.width);
  const double scale = std::min(static_cast<double>(step.height) / height, static_cast<double>(step.width) / width);
  const Size padded = padded_size({whole(height * scale), whole(width * scale)}, 0, 0, step.multiple_of);
  return resized(padded.height, padded.width);
}

Placement letterbox(const GeometryStep &step, Size image) {
  const double scale = std::min(static_cast<double>(step.height) / static_cast<double>(image.height),
                                static_cast<double>(step.width) / static_cast<double>(image.width));
  const auto side = [&](std::int64_t length) {
    return std::max<std::int64_t>(nearest(static_cast<double>(length) * scale), 1);
  };
  const Size inner{side(image.height), side(image.width)};
  // Of an odd margin the smaller half comes first; a tenth keeps the rounding of halves out of it.
  const auto before = [](std::int64_t frame, std::int64_t length) {
    return nearest(static_cast<double>(frame - length) / 2 - 0.1);
  };
  return {{step.height, step.width}, inner, {before(step.height, inner.height), before(step.width, inner.width)}};
}

Placement place(const GeometryStep &step, Size image) {
  using Kind = GeometryStep::Kind;
  switch (step.kind) {
    case Kind::resize:
      return step.keep_ratio ? within(step.width, step.height, image) : resized(step.height, step.width);
    case Kind::resize_shortest_edge:
      return shortest_edge(step, image);
    case Kind::resize_to_multiple: {
      const Size size = padded_size(image, 0, 0, step.multiple_of);
      return resized(size.height, size.width);
    }
    case Kind::resize_by_edge:
      return by_edge(step, image);
    case Kind::resize_edges:
      return edges(step, image);
    case Kind::resize_near:
      return near(step, image);
    case Kind::resize_within:
      return within_frame(step, image);
    case Kind::letterbox:
      return letterbox(step, image);
    case Kind::pad:
      break;
  }
  return {padded_size(image, step.height, step.width, step.multiple_of), image, {0, 0}};
}

Size padded(const Spec &spec, Size size) {
  if (!spec.padding) return size;
  const Size found = padded_size(size, spec.padding->height, spec.padding->width, spec.padding->multiple_of);
  require_moderate(found, size);
  return found;
}

std::vector<std::int64_t> starts(std::int64_t length, std::int64_t window, std::int64_t stride) {
  std::vector<std::int64_t> found;
  for (std::int64_t start = 0; start < length - window; start += stride) found.push_back(start);
  found.push_back(length - window);
  return found;
}

// At equal distances, each rounded down from a double.
std::vector<std::int64_t> spread(std::int64_t length, std::int64_t window, std::int64_t stride) {
  const std::int64_t last = length - window, count = (last + stride - 1) / stride + 1;
  std::vector<std::int64_t> found;
  for (std::int64_t number = 0; number + 1 < count; ++number) {
    const double overlap = static_cast<double>(count * window - length) / static_cast<double>(count - 1);
    const double distance = static_cast<double>(window) - overlap;
    found.push_back(static_cast<std::int64_t>(static_cast<double>(number) * distance));
  }
  found.push_back(last);
  return found;
}

std::string pair(Size size) { return "(" + std::to_string(size.height) + ", " + std::to_string(size.width) + ")"; }

}  // namespace

std::string text(Size size) { return std::to_string(size.height) + "x" + std::to_string(size.width); }

Size padded_size(Size image, std::int64_t height, std::int64_t width, std::int64_t multiple_of) {
  const std::int64_t multiple = std::max<std::int64_t>(multiple_of, 1);
  const auto side = [multiple](std::int64_t length, std::int64_t least) {
    return (std::max(length, least) + multiple - 1) / multiple * multiple;
  };
  return {side(image.height, height), side(image.width, width)};
}

Placement GeometryStep::plan(Size image) const {
  const Placement found = place(*this, image);
  if (std::min(found.size.height, found.size.width) < 1) {
    throw input_error("an image of " + text(image) + " pixels (height x width) would be resized to " + text(found.size) +
                      ": it is too narrow for this network's resize rule, cut it into pieces");
  }
  require_moderate(found.size, image);
  return found;
}

bool SizeRule::allows(Size size) const {
  if (fixed) return size == *fixed;
  return size.height % multiple_of == 0 && size.width % multiple_of == 0 && size.height >= minimum.height &&
         size.width >= minimum.width;
}

std::string SizeRule::text() const {
  if (fixed) return "exactly " + segship::text(*fixed);
  std::string words;
  if (minimum != Size{1, 1}) words = "at least " + segship::text(minimum);
  if (multiple_of > 1) {
    words += (words.empty() ? "" : ", ");
    words += "height and width multiples of " + std::to_string(multiple_of);
  }
  return words.empty() ? "any size" : words;
}

std::vector<Size> geometry_sizes(const Spec &spec, Size image) {
  std::vector<Size> sizes{image};
  for (const GeometryStep &step : spec.geometry) sizes.push_back(step.plan(sizes.back()).size);
  return sizes;
}

Size prepared_size(const Spec &spec, Size image) { return padded(spec, geometry_sizes(spec, image).back()); }

std::vector<Step> inverse_steps(const Spec &spec, Size image) {
  const std::vector<Size> sizes = geometry_sizes(spec, image);
  const Size input = padded(spec, sizes.back());
  const auto &geometry = spec.geometry;
  const bool framed =
      std::any_of(geometry.begin(), geometry.end(), [](const GeometryStep &step) { return step.cuts_margin(); });
  if (spec.directly && !spec.slide && !framed && input == sizes.back()) return {{image, image, {0, 0}, false}};
  std::vector<Step> steps{{input, sizes.back(), {0, 0}, false}};
  for (std::size_t number = geometry.size(); number-- > 0;) {
    if (!geometry[number].cuts_margin()) continue;
    const Placement plan = geometry[number].plan(sizes[number]);
    steps.push_back({sizes[number + 1], plan.inner, plan.origin, spec.to_input});
  }
  steps.push_back({image, image, {0, 0}, spec.to_input});
  return steps;
}

Windows plan_windows(const Spec &spec, Size input) {
  if (!spec.slide) {
    if (!spec.sizes.allows(input)) {
      throw size_error("the image becomes " + text(input) + " pixels, this network takes " + spec.sizes.text());
    }
    return {input, input, {0}, {0}};
  }
  const Slide &slide = *spec.slide;
  if (slide.stride.height > slide.crop.height || slide.stride.width > slide.crop.width) {
    throw input_error("a stride of " + pair(slide.stride) + " leaves gaps between windows of " + pair(slide.crop) +
                      ": it must not be larger");
  }
  const Size window{std::min(slide.crop.height, input.height), std::min(slide.crop.width, input.width)};
  if (!spec.sizes.allows(window)) {
    throw size_error("the image becomes " + text(input) + " pixels, so its windows are " + text(window) +
                     "; this package takes " + spec.sizes.text() +
                     ": use a larger image, or export with a dynamic shape");
  }
  const auto place = slide.spread ? spread : starts;
  return {input, window, place(input.height, window.height, slide.stride.height),
          place(input.width, window.width, slide.stride.width)};
}

}  // namespace segship
