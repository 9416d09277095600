// Rows of cells at the width of the image, for rows of which most pixels are in doubt, and for scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/cells.hpp"
#include "core/decide.hpp"

namespace segship {

// Floats of one class in such a row.
std::size_t wide_stride(std::size_t width);

// Rows of cells of every class at the width of the image: each (classes, wide_stride(width)).
Lines wide_lines(const Logits &logits, const std::vector<Run> &columns, std::size_t width);

// The labels of row `row` of `run`, none left out: what wins between the wide rows that the run draws on.
void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                std::size_t width, std::uint8_t *mask);
void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                std::size_t width, std::uint16_t *mask);

}  // namespace segship
