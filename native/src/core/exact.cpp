#include "core/exact.hpp"

#include <cmath>

namespace segship {

namespace {

// One position of an axis, cell by cell, so that an infinite or undefined cell reaches only those that draw on it.
template <class Value>
inline float exactly(const Taps &taps, std::size_t position, Value &&value) {
  const std::int32_t *index = &taps.index[position * taps.width];
  const float *weight = &taps.weight[position * taps.width];
  float sum = value(index[0]) * weight[0];
  for (std::size_t tap = 1; tap < taps.width; ++tap) {
    if (weight[tap] != 0) sum += value(index[tap]) * weight[tap];
  }
  return sum;
}

}  // namespace

void exact_row(const Logits &logits, const Taps &rows, const Taps &columns, std::size_t row, std::vector<float> &out) {
  const std::size_t width = columns.size();
  out.resize(logits.classes * width);
  for (std::size_t label = 0; label < logits.classes; ++label) {
    for (std::size_t x = 0; x < width; ++x) {
      out[label * width + x] = exactly(rows, row, [&](std::int32_t cell) {
        const float *line = logits.row(label, static_cast<std::size_t>(cell));
        return exactly(columns, x, [line](std::int32_t column) { return line[column]; });
      });
    }
  }
}

std::size_t first_greatest(const float *values, std::size_t step, std::size_t classes) {
  std::size_t winner = 0;
  for (std::size_t label = 0; label < classes; ++label) {
    if (std::isnan(values[label * step])) return label;
    if (values[label * step] > values[winner * step]) winner = label;
  }
  return winner;
}

}  // namespace segship
