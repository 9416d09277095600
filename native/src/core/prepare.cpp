// From a caller's image to the network's input.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.hpp"
#include "core/pixels.hpp"

namespace segship {

namespace {

using std::size_t;

size_t whole(std::int64_t value) { return static_cast<size_t>(value); }

const char *name_of(std::int32_t dtype) {
  constexpr const char *names[] = {"uint8", "uint16", "float32", "int32", "int64"};
  return dtype >= 0 && dtype <= SEGSHIP_INT64 ? names[dtype] : "an unknown type";
}

std::int64_t bytes_of(std::int32_t dtype) {
  constexpr std::int64_t sizes[] = {1, 2, 4};
  return sizes[dtype];
}

std::string shape_of(const segship_image &image) {
  return "(" + std::to_string(image.height) + ", " + std::to_string(image.width) + ", " +
         std::to_string(image.channels) + ")";
}

std::int64_t stride_of(const segship_image &image) {
  if (image.row_stride != 0) return image.row_stride;
  return std::int64_t{image.width} * image.channels * bytes_of(image.dtype);
}

float number_at(const std::uint8_t *row, std::int32_t dtype, size_t place) {
  if (dtype == SEGSHIP_UINT8) return row[place];
  if (dtype == SEGSHIP_UINT16) {
    std::uint16_t value;
    std::memcpy(&value, row + 2 * place, sizeof(value));
    return value;
  }
  float value;
  std::memcpy(&value, row + 4 * place, sizeof(value));
  return value;
}

// All bands as float32, before they are resized, so that nothing is rounded.
Pixels stored_pixels(const segship_image &image) {
  Pixels pixels({image.height, image.width}, whole(image.channels), true);
  const std::int64_t stride = stride_of(image);
  for (std::int64_t y = 0; y < image.height; ++y) {
    const std::uint8_t *row = static_cast<const std::uint8_t *>(image.data) + y * stride;
    float *to = pixels.floats.data() + whole(y) * pixels.row();
    for (size_t place = 0; place < pixels.row(); ++place) {
      to[place] = number_at(row, image.dtype, place);
      if (!std::isfinite(to[place])) {
        throw input_error("the image holds NaN or infinity: replace them, as by the band's mean");
      }
    }
  }
  return pixels;
}

// One grey channel of three, as OpenCV weighs them.
Pixels grey_pixels(const View &rgb) {
  Pixels pixels(rgb.size, 1, false);
  for (std::int64_t y = 0; y < rgb.size.height; ++y) {
    const std::uint8_t *row = rgb.row(y);
    std::uint8_t *to = pixels.bytes.data() + whole(y) * pixels.row();
    for (size_t x = 0; x < pixels.row(); ++x, row += rgb.step) {
      to[x] = static_cast<std::uint8_t>(
          (row[rgb.offset[0]] * 9798 + row[rgb.offset[1]] * 19235 + row[rgb.offset[2]] * 3735 + (1 << 14)) >> 15);
    }
  }
  return pixels;
}

Pixels packed(const View &view) {
  Pixels pixels(view.size, view.offset.size(), false);
  for (std::int64_t y = 0; y < view.size.height; ++y) {
    const std::uint8_t *row = view.row(y);
    std::uint8_t *to = pixels.bytes.data() + whole(y) * pixels.row();
    for (std::int64_t x = 0; x < view.size.width; ++x, row += view.step) {
      for (const size_t offset : view.offset) *to++ = row[offset];
    }
  }
  return pixels;
}

Pixels as_floats(Pixels image) {
  if (image.is_float) return image;
  Pixels out(image.size, image.channels, true);
  std::copy(image.bytes.begin(), image.bytes.end(), out.floats.begin());
  return out;
}

Pixels resize(Pixels image, Size size, Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::bilinear:
      return resize_linear(image, size);
    case Interpolation::float_bilinear:
      return resize_linear(as_floats(std::move(image)), size);
    case Interpolation::pillow_bilinear:
      return resize_pillow(image, size, false);
    case Interpolation::pillow_bicubic:
      return resize_pillow(image, size, true);
    case Interpolation::torchvision_bilinear:
      return resize_torchvision(image, size, false);
    case Interpolation::float_antialiased:
      return resize_pillow(as_floats(std::move(image)), size, false);
    case Interpolation::torchvision_bicubic:
      break;
  }
  return resize_torchvision(image, size, true);
}

template <class Value>
void frame(const std::vector<Value> &from, Size inner, Size origin, size_t channels, const std::vector<double> &value,
           Size size, std::vector<Value> &to) {
  for (size_t place = 0; place < to.size(); ++place) {
    const double margin = value[place % channels];
    if constexpr (sizeof(Value) == 1) {
      to[place] = static_cast<Value>(static_cast<std::int64_t>(margin));
    } else {
      to[place] = static_cast<Value>(margin);
    }
  }
  const size_t row = whole(inner.width) * channels;
  for (size_t y = 0; y < whole(inner.height); ++y) {
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(y * row), row,
                to.begin() + static_cast<std::ptrdiff_t>(
                                 ((y + whole(origin.height)) * whole(size.width) + whole(origin.width)) * channels));
  }
}

Pixels framed(Pixels image, const Placement &plan, const std::vector<double> &value) {
  const bool round = std::all_of(value.begin(), value.end(), [](double one) { return one == std::floor(one); });
  if (!round) image = as_floats(std::move(image));
  Pixels out(plan.size, image.channels, image.is_float);
  if (image.is_float) {
    frame(image.floats, image.size, plan.origin, image.channels, value, plan.size, out.floats);
  } else {
    frame(image.bytes, image.size, plan.origin, image.channels, value, plan.size, out.bytes);
  }
  return out;
}

float normalised(float value, double mean, double std, bool doubles) {
  if (doubles) return static_cast<float>((static_cast<double>(value) - mean) / std);
  return (value - static_cast<float>(mean)) / static_cast<float>(std);
}

}  // namespace

Pixels::Pixels(Size size_, std::size_t channels_, bool is_float_)
    : size(size_), channels(channels_), is_float(is_float_) {
  const std::size_t count = static_cast<std::size_t>(size.height) * row();
  if (is_float) {
    floats.resize(count);
  } else {
    bytes.resize(count);
  }
}

View view_of(const Pixels &pixels) {
  View view;
  view.data = pixels.is_float ? static_cast<const void *>(pixels.floats.data()) : pixels.bytes.data();
  view.row_stride = static_cast<std::int64_t>(pixels.row() * (pixels.is_float ? sizeof(float) : 1));
  view.size = pixels.size;
  view.step = pixels.channels;
  view.dtype = pixels.is_float ? SEGSHIP_FLOAT32 : SEGSHIP_UINT8;
  for (std::size_t channel = 0; channel < pixels.channels; ++channel) view.offset.push_back(channel);
  return view;
}

View view_photograph(const segship_image &image, bool rgb) {
  View view{image.data, stride_of(image), {image.height, image.width}, whole(image.channels), image.dtype, {0, 1, 2}};
  if (image.channels == 1) {
    view.offset = {0, 0, 0};
  } else if ((image.order == SEGSHIP_RGB) != rgb) {
    view.offset = {2, 1, 0};
  }
  return view;
}

void check_image(const segship_image &image, const Spec &spec) {
  const std::string found = std::string("found ") + name_of(image.dtype) + " of shape " + shape_of(image);
  if (image.data == nullptr) throw input_error("the image is NULL");
  if (image.height < 1 || image.width < 1) throw input_error("the image is empty: its shape is " + shape_of(image));
  if (image.order != SEGSHIP_RGB && image.order != SEGSHIP_BGR) {
    throw input_error("the order of channels is SEGSHIP_RGB or SEGSHIP_BGR, not " + std::to_string(image.order));
  }
  if (spec.stored) {
    if (image.channels != spec.channels()) {
      throw input_error("the image has the shape " + shape_of(image) + ", this network takes (height, width, " +
                        std::to_string(spec.channels()) + ")");
    }
    if (image.dtype < SEGSHIP_UINT8 || image.dtype > SEGSHIP_FLOAT32) {
      throw input_error(std::string("the image holds ") + name_of(image.dtype) +
                        " numbers: uint8, uint16 and float32 are provided");
    }
  } else if (image.dtype != SEGSHIP_UINT8 || (image.channels != 1 && image.channels != 3 && image.channels != 4)) {
    throw input_error(
        "an image is uint8 of shape (height, width, 3), (height, width, 4) with alpha, or grey (height, width); " + found);
  }
  const std::int64_t row = std::int64_t{image.width} * image.channels * bytes_of(image.dtype);
  if (image.row_stride != 0 && std::abs(image.row_stride) < row) {
    throw input_error("rows are " + std::to_string(image.row_stride) + " bytes apart, but one has " +
                      std::to_string(row));
  }
}

Pixels apply(const GeometryStep &step, Pixels image, bool rgb) {
  const Placement plan = step.plan(image.size);
  if (plan.size == image.size) return image;
  if (plan.inner != image.size) image = resize(std::move(image), plan.inner, step.interpolation);
  if (plan.inner == plan.size) return image;
  std::vector<double> value = step.value;
  if (value.size() != image.channels) value.assign(image.channels, step.value[0]);
  if (rgb) std::reverse(value.begin(), value.end());
  return framed(std::move(image), plan, value);
}

Prepared::Prepared(const Spec &spec, const segship_image &image) : spec_(spec) {
  const Size size{image.height, image.width};
  windows_ = plan_windows(spec, prepared_size(spec, size));
  if (spec.stored) {
    pixels_ = stored_pixels(image);
  } else {
    view_ = view_photograph(image, spec.rgb);
    if (spec.channels() == 1) {
      pixels_ = grey_pixels(view_photograph(image, true));
    } else if (!spec.geometry.empty() && geometry_sizes(spec, size) != std::vector<Size>(spec.geometry.size() + 1, size)) {
      pixels_ = packed(view_);
    }
  }
  if (pixels_.channels != 0) {
    for (const GeometryStep &step : spec.geometry) pixels_ = apply(step, std::move(pixels_), spec.rgb && !spec.stored);
    view_ = view_of(pixels_);
  }
  for (std::size_t channel = 0; channel < spec.mean.size(); ++channel) {
    for (int value = 0; value < 256; ++value) {
      tables_.push_back(normalised(static_cast<float>(value), spec.mean[channel], spec.std[channel], spec.doubles));
    }
  }
}

void Prepared::write_row(std::int64_t y, std::int64_t left, std::size_t channel, float *out) const {
  const std::size_t offset = view_.offset[channel];
  const auto count = std::min(windows_.window.width, view_.size.width - left);
  if (view_.dtype == SEGSHIP_UINT8) {
    const float *table = tables_.data() + channel * 256;
    const std::uint8_t *from = view_.row(y) + static_cast<std::size_t>(left) * view_.step + offset;
    for (std::int64_t x = 0; x < count; ++x, from += view_.step) out[x] = table[*from];
    return;
  }
  const float *from = pixels_.floats.data() + static_cast<std::size_t>(y) * pixels_.row() +
                      static_cast<std::size_t>(left) * view_.step + offset;
  const double mean = spec_.mean[channel], std = spec_.std[channel];
  const bool doubles = spec_.doubles;
  for (std::int64_t x = 0; x < count; ++x, from += view_.step) out[x] = normalised(*from, mean, std, doubles);
}

void Prepared::write(std::int64_t window, float *out) const {
  const auto lines = static_cast<std::int64_t>(windows_.lefts.size());
  const std::int64_t top = windows_.tops[static_cast<std::size_t>(window / lines)];
  const std::int64_t left = windows_.lefts[static_cast<std::size_t>(window % lines)];
  const Size size = windows_.window;
  const float value = spec_.padding ? static_cast<float>(spec_.padding->value) : 0.0f;
  const std::int64_t inside = std::clamp<std::int64_t>(view_.size.width - left, 0, size.width);
  for (std::int64_t y = 0; y < size.height; ++y) {
    const bool drawn = top + y < view_.size.height && inside > 0;
    for (std::size_t channel = 0; channel < view_.offset.size(); ++channel) {
      float *row = out + (static_cast<std::int64_t>(channel) * size.height + y) * size.width;
      if (drawn) write_row(top + y, left, channel, row);
      std::fill(row + (drawn ? inside : 0), row + size.width, value);
    }
  }
}

}  // namespace segship
