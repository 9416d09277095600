// Probabilities at the image's own size.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/cells.hpp"
#include "core/clones.hpp"
#include "core/exact.hpp"
#include "core/interpolate.hpp"
#include "core/lanes.hpp"
#include "core/wide.hpp"

namespace segship {

namespace {

// Softmax over the classes of some pixels: values (classes, lanes), in place.
template <std::size_t lanes>
inline void softmax(float *values, std::size_t classes) {
  using Floats = typename Wide<lanes>::Floats;
  Floats most, sum{}, value;
  load(values, most);
  for (std::size_t label = 1; label < classes; ++label) {
    load(values + label * lanes, value);
    most = value > most ? value : most;
  }
  for (std::size_t first = 0; first < classes; first += 16) {  // few at a time, so that little is lost of small ones
    Floats part{};
    for (std::size_t label = first; label < std::min(first + 16, classes); ++label) {
      load(values + label * lanes, value);
      value -= most;
      exponential<lanes>(value);
      store(value, values + label * lanes);
      part += value;
    }
    sum += part;
  }
  for (std::size_t label = 0; label < classes; ++label) {
    load(values + label * lanes, value);
    value /= sum;
    store(value, values + label * lanes);
  }
}

template <std::size_t lanes>
inline void sigmoid(float *values, std::size_t classes) {
  using Floats = typename Wide<lanes>::Floats;
  for (std::size_t label = 0; label < classes; ++label) {
    Floats value;
    const Floats most = Floats{} + 88.0f;
    load(values + label * lanes, value);
    value = -value < most ? -value : most;
    exponential<lanes>(value);
    value = 1.0f / (value + 1.0f);
    store(value, values + label * lanes);
  }
}

template <std::size_t lanes>
SEGSHIP_INLINE void score_row_by(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                                 std::size_t classes, std::size_t stride, std::size_t width, Activation activation,
                                 float *room, float *scores, std::size_t plane) {
  using Floats = typename Wide<lanes>::Floats;
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += lanes) {
    for (std::size_t label = 0; label < classes; ++label) {
      Floats value;
      values_at(rows, weight, run.stride, label * stride + place, value);
      store(value, room + label * lanes);
    }
    if (activation == Activation::sigmoid) sigmoid<lanes>(room, classes);
    if (activation == Activation::softmax) softmax<lanes>(room, classes);
    const std::size_t count = std::min(lanes, width - place);
    for (std::size_t label = 0; label < classes; ++label) {
      std::memcpy(scores + label * plane + place, room + label * lanes, count * sizeof(float));
    }
  }
}
SEGSHIP_LEVELS(score_row,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, Activation activation, float *room, float *scores,
                  std::size_t plane),
                 (rows, run, row, classes, stride, width, activation, room, scores, plane))

// Of values that need not be finite: (classes), `step` floats apart, in place. As NumPy: NaN wins, and spreads.
void activate(float *values, std::size_t step, std::size_t classes, Activation activation) {
  if (activation == Activation::none) return;
  const bool sigmoid = activation == Activation::sigmoid;
  const float most = values[first_greatest(values, step, classes) * step];
  float sum = 0;
  for (std::size_t label = 0; label < classes; ++label) {
    float &value = values[label * step];
    value = sigmoid ? 1.0f / (std::exp(-value) + 1.0f) : std::exp(value - most);
    sum += value;
  }
  for (std::size_t label = 0; label < classes && !sigmoid; ++label) values[label * step] /= sum;
}

}  // namespace

void Resampler::scores(const Logits &logits, Activation activation, std::size_t begin, std::size_t end, float *scores) const {
  const std::size_t plane = height() * width();
  Cells cells(logits);
  Lines wide = wide_lines(logits, columns_, width());
  std::vector<float> values, room(logits.classes * kLanes);
  for (std::size_t number = begin; number < end; ++number) {
    const Run &run = rows_[number];
    const bool finite = cells.is_finite(run);
    for (std::size_t row = run.begin; row < run.end; ++row) {
      float *out = scores + row * width();
      if (finite) {
        score_row(wide.of(run), run, row - run.begin, logits.classes, wide_stride(width()), width(), activation, room.data(),
                  out, plane);
        continue;
      }
      exact_row(logits, taps_.rows, taps_.columns, row, values);
      for (std::size_t x = 0; x < width(); ++x) {
        activate(values.data() + x, width(), logits.classes, activation);
        for (std::size_t label = 0; label < logits.classes; ++label) out[label * plane + x] = values[label * width() + x];
      }
    }
  }
}

}  // namespace segship
