// Values between cells, several pixels at once: the inner loops of masks and scores.
#pragma once

#include <vector>

#include "core/lanes.hpp"
#include "core/taps.hpp"

namespace segship {

// Values of cells, `step` floats apart, to eight positions of a run.
inline void spread(const float *values, std::size_t step, const Run &run, std::size_t position, Few &out) {
  const std::size_t cells = run.cells.size();
  out = Few{} + values[0];
  if (cells == 1) return;
  Few weight;
  load(run.weight.data() + position, weight);
  out = weight * (values[step] - values[0]);
  for (std::size_t tap = 1; tap + 1 < cells; ++tap) {
    load(run.weight.data() + tap * run.stride + position, weight);
    out += weight * (values[(tap + 1) * step] - values[0]);
  }
  out += values[0];
}

// A class's values at some pixels of one row of the image.
template <class Vector>
inline void values_at(const std::vector<const float *> &rows, const float *weight, std::size_t step, std::size_t place,
                      Vector &out) {
  Vector first, next;
  load(rows[0] + place, first);
  out = first;
  if (rows.size() == 1) return;
  load(rows[1] + place, next);
  out = (next - first) * weight[0];
  for (std::size_t tap = 1; tap + 1 < rows.size(); ++tap) {
    load(rows[tap + 1] + place, next);
    out += (next - first) * weight[tap * step];
  }
  out += first;
}

}  // namespace segship
