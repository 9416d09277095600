// Values between cells, several pixels at once: the inner loops of masks and scores.
#pragma once

#include <vector>

#include "core/lanes.hpp"
#include "core/taps.hpp"

namespace segship {

// Values of cells, `step` floats apart, to eight positions of a run. Each cell is weighed for itself, as in torch: a sum
// of what the others have more than the first loses what is small beside the first.
inline void spread(const float *values, std::size_t step, const Run &run, std::size_t position, Few &out) {
  const std::size_t cells = run.cells.size();
  out = Few{} + values[0];
  if (cells == 1) return;
  const float *weights = run.weight.data() + position;
  Few first, weight;
  load(weights, first);
  load(weights + run.stride, weight);
  out = first * values[0] + weight * values[step];
  for (std::size_t tap = 2; tap < cells; ++tap) {
    load(weights + tap * run.stride, weight);
    out += weight * values[tap * step];
  }
}

// A class's values at some pixels of one row of the image.
template <class Vector>
inline void values_at(const std::vector<const float *> &rows, const float *weight, std::size_t step, std::size_t place,
                      Vector &out) {
  Vector next;
  load(rows[0] + place, out);
  if (rows.size() == 1) return;
  load(rows[1] + place, next);
  out = out * weight[0] + next * weight[step];
  for (std::size_t tap = 2; tap < rows.size(); ++tap) {
    load(rows[tap] + place, next);
    out += next * weight[tap * step];
  }
}

}  // namespace segship
