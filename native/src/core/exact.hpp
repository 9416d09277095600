// Values that are not finite: pixel by pixel, so that an infinite or undefined cell reaches only those that draw on it.
#pragma once

#include <cstddef>
#include <vector>

#include "core/decide.hpp"

namespace segship {

// A row of the image for all classes: (classes, width).
void exact_row(const Logits &logits, const Taps &rows, const Taps &columns, std::size_t row, std::vector<float> &out);

// The first of the greatest values, `step` floats apart. NaN is greater than any number.
std::size_t first_greatest(const float *values, std::size_t step, std::size_t classes);

}  // namespace segship
