// Linear interpolation along one axis, as data: which cells each output position draws on, and how much.
//
// A bilinear resize is one such operator for the rows and one for the columns. So is a chain of resizes and crops, and
// so is the average of overlapping windows: operators compose, and all of them are convex (no weight is negative, the
// weights of a position sum to one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/spec.hpp"

namespace segship {

// n positions of `width` taps each; a position with fewer taps repeats its last cell with weight zero.
struct Taps {
  std::size_t width = 1;
  std::size_t cells = 0;
  std::vector<std::int32_t> index;  // n * width, ascending within a position
  std::vector<float> weight;

  std::size_t size() const { return index.size() / width; }
  bool is_identity() const;
};

// As torch's interpolate(mode="bilinear", antialias=False) resizes an axis, with its float32 weights bit for bit.
Taps linear(std::size_t cells, std::size_t positions, bool align_corners);

// As OpenCV's INTER_NEAREST resizes an axis, in double precision as there.
Taps nearest(std::size_t cells, std::size_t positions);

// The operator that yields `positions` outputs of `taps`, from `begin` on.
Taps part(const Taps &taps, std::size_t begin, std::size_t positions);

// The operator that equals `inner` followed by `outer`.
Taps compose(const Taps &outer, const Taps &inner);

// Positions in a row that draw on the same few cells.
struct Run {
  std::size_t begin = 0, end = 0;      // positions
  std::vector<std::int32_t> cells;     // ascending
  std::vector<float> weight;           // (cells, stride)
  std::size_t stride = 0;              // the positions, rounded up to eight; what is beyond weighs nothing
  std::size_t positions() const { return end - begin; }
};

// Cut an axis into runs that hold every position once, in order.
std::vector<Run> group(const Taps &taps);

struct Operators {
  Taps rows, columns;
};

// From logits of `cells` (height, width) through `steps` to the image; where there are windows, from the logits of all
// of them, laid side by side.
Operators operators(const Windows *windows, Size cells, const std::vector<Step> &steps, bool align_corners);

}  // namespace segship
