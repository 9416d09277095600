// Images: a caller's, as it lies in memory, and our own on their way to the network.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec.hpp"
#include "segship/segship.h"

namespace segship {

// Our own: (height, width, channels) without gaps, of bytes or of float32.
struct Pixels {
  Size size;
  std::size_t channels = 0;
  bool is_float = false;
  std::vector<std::uint8_t> bytes;
  std::vector<float> floats;

  Pixels() = default;
  Pixels(Size size_, std::size_t channels_, bool is_float_);
  std::size_t row() const { return static_cast<std::size_t>(size.width) * channels; }
};

// An image that is only looked at; `offset` is where each channel lies in a pixel, in numbers.
struct View {
  const void *data = nullptr;
  std::int64_t row_stride = 0;  // bytes
  Size size;
  std::size_t step = 0;  // numbers from one pixel to the next
  std::int32_t dtype = SEGSHIP_UINT8;
  std::vector<std::size_t> offset;

  const std::uint8_t *row(std::int64_t y) const { return static_cast<const std::uint8_t *>(data) + y * row_stride; }
};

View view_of(const Pixels &pixels);

// Check a caller's image; its size is within what can be counted. Error: it is nothing that a network of this spec takes.
void check_image(const segship_image &image, const Spec &spec);

// A photograph with its channels in the order red, green, blue or blue, green, red.
View view_photograph(const segship_image &image, bool rgb);

// OpenCV's bilinear resize; of bytes bit for bit.
Pixels resize_linear(const Pixels &image, Size size);

// Pillow's filters, which widen where they shrink.
Pixels resize_pillow(const Pixels &image, Size size, bool cubic);

// torchvision's: Pillow's filters with weights of 16 bits, columns first; of floats as Pillow.
Pixels resize_torchvision(const Pixels &image, Size size, bool cubic);

// Run one step. `rgb`: whether the channels are in that order; margins are given for BGR.
Pixels apply(const GeometryStep &step, Pixels image, bool rgb);

// One image, ready to be cut into the network's inputs.
class Prepared {
 public:
  // The image must outlive what is made of it. Error: it cannot be brought to the network's size.
  Prepared(const Spec &spec, const segship_image &image);

  const Windows &windows() const { return windows_; }

  // A window's normalised planes, float32 (channels, height, width).
  void write(std::int64_t window, float *out) const;

 private:
  void write_row(std::int64_t y, std::int64_t left, std::size_t channel, float *out) const;

  const Spec &spec_;
  Pixels pixels_;
  View view_;
  Windows windows_;
  std::vector<float> tables_;  // the normalised value of each byte, (channels, 256)
};

// The colours of a mask over its image, uint8 (height, width, 3) RGB.
void overlay(const Spec &spec, const segship_image &image, const void *mask, double opacity, std::uint8_t *rgb);

// Labels (h, w) through `steps` by nearest neighbours, as OpenCV does, to labels of `bytes` each.
void resize_labels(const std::vector<std::uint16_t> &labels, Size size, const std::vector<Step> &steps,
                   std::int64_t bytes, void *mask);

}  // namespace segship
