#include "core/wide.hpp"

#include <algorithm>
#include <cstring>

#include "core/clones.hpp"
#include "core/interpolate.hpp"

namespace segship {

namespace {

// One row of cells of every class at the width of the image: (classes, stride).
SEGSHIP_CLONES void widen(const Logits &logits, std::size_t cell, const std::vector<Run> &columns, std::size_t stride,
                          float *out) {
  std::vector<float> cells;
  for (std::size_t label = 0; label < logits.classes; ++label) {
    const float *row = logits.row(label, cell);
    for (const Run &run : columns) {
      cells.resize(run.cells.size());
      for (std::size_t tap = 0; tap < cells.size(); ++tap) cells[tap] = row[run.cells[tap]];
      for (std::size_t place = 0; place < run.positions(); place += kFew) {
        Few value;
        spread(cells.data(), 1, run, place, value);
        std::memcpy(out + label * stride + run.begin + place, &value, sizeof(value));
      }
    }
  }
}

template <std::size_t lanes, class Label>
SEGSHIP_INLINE void labels_by(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                              std::size_t classes, std::size_t stride, std::size_t width, Label *mask) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += lanes) {
    Floats best, value;
    Ints winner{};
    values_at(rows, weight, run.stride, place, best);
    for (std::size_t label = 1; label < classes; ++label) {
      values_at(rows, weight, run.stride, label * stride + place, value);
      const Ints leads = value > best;
      winner = leads ? Ints{} + static_cast<std::int32_t>(label) : winner;
      best = leads ? value : best;
    }
    const std::size_t count = std::min(lanes, width - place);
    for (std::size_t x = 0; x < count; ++x) mask[place + x] = static_cast<Label>(winner[x]);
  }
}
SEGSHIP_LEVELS(labels,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, std::uint8_t *mask),
                 (rows, run, row, classes, stride, width, mask))
SEGSHIP_LEVELS(labels,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, std::uint16_t *mask),
                 (rows, run, row, classes, stride, width, mask))

}  // namespace

// Eight at a time may be written beyond a run.
std::size_t wide_stride(std::size_t width) { return (width + kLanes - 1) / kLanes * kLanes + kFew; }

Lines wide_lines(const Logits &logits, const std::vector<Run> &columns, std::size_t width) {
  const std::size_t stride = wide_stride(width);
  return {logits.classes * stride,
          [&logits, &columns, stride](std::size_t cell, float *line) { widen(logits, cell, columns, stride, line); }};
}

void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                std::size_t width, std::uint8_t *mask) {
  labels(rows, run, row, classes, wide_stride(width), width, mask);
}

void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                std::size_t width, std::uint16_t *mask) {
  labels(rows, run, row, classes, wide_stride(width), width, mask);
}

}  // namespace segship
