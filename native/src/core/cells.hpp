// Rows of low-resolution logits as masks and scores need them: each made once, with who wins in each cell.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/decide.hpp"

namespace segship {

// Rows of cells of all classes, each made once: those of the last run are kept, for the next one shares some.
class Lines {
 public:
  using Make = std::function<void(std::size_t cell, float *line)>;

  // `size`: floats of one row of all classes.
  Lines(std::size_t size, Make make) : size_(size), make_(std::move(make)) {}

  // The rows that a run draws on.
  const std::vector<const float *> &of(const Run &run);

 private:
  struct Line {
    std::int32_t cell;
    std::vector<float> values;
  };
  std::size_t size_;
  Make make_;
  std::vector<Line> kept_;
  std::vector<const float *> found_;
  std::size_t at_ = 0;
};

// What the cells of the rows say: their values, who wins, and whether all are finite. Made as rows are needed.
class Cells {
 public:
  explicit Cells(const Logits &logits);
  Cells(const Cells &) = delete;
  Cells &operator=(const Cells &) = delete;

  // The rows of cells that a run draws on, each (classes, width).
  const std::vector<const float *> &lines(const Run &run) { return lines_.of(run); }

  // Of a row whose line was made.
  const std::int32_t *winners(std::int32_t cell) const { return winner_.data() + row_of(cell) * logits_.width; }

  bool is_finite(const Run &run);

 private:
  std::size_t row_of(std::int32_t cell) const { return static_cast<std::size_t>(cell) - logits_.first; }

  void make(std::size_t cell, float *line);

  const Logits &logits_;
  std::vector<std::int32_t> winner_;
  std::vector<bool> finite_;
  Lines lines_;
};

}  // namespace segship
