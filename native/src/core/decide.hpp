// Masks and scores at the image's own size from low-resolution logits.
//
// The mask is the one that PyTorch gives: logits resized bilinearly, then the argmax. It is cheap because interpolation
// weights are convex: where all cells that a block of pixels draws on agree on the winner, that class wins at every
// pixel of the block, and nothing is computed. Elsewhere only candidates are interpolated: a class whose best cell is
// below what some other class has in its worst cell cannot win anywhere in the block.
#pragma once

#include <cstdint>
#include <vector>

#include "core/taps.hpp"

namespace segship {

// Rows `first` to `first + rows` of a map (classes, height, width) of logits; the planes lie `plane` floats apart.
struct Logits {
  const float *data = nullptr;
  std::size_t classes = 0;
  std::size_t width = 0;
  std::size_t plane = 0;
  std::size_t first = 0;
  std::size_t rows = 0;

  const float *row(std::size_t label, std::size_t cell) const { return data + label * plane + (cell - first) * width; }
};

// What makes probabilities of logits; none: they are probabilities.
enum class Activation { softmax, sigmoid, none };

// What a mask or scores are made with, part by part: rows of the image whose cells are there.
class Resampler {
 public:
  explicit Resampler(Operators operators);

  std::size_t height() const { return rows_.empty() ? 0 : rows_.back().end; }
  std::size_t width() const { return columns_.empty() ? 0 : columns_.back().end; }

  // Runs of rows that draw on no cell from `cells` on; and the lowest cell that later ones need.
  std::size_t ready(std::size_t cells) const;
  std::size_t lowest(std::size_t run) const;
  std::size_t runs() const { return rows_.size(); }

  // Labels of the runs `begin` to `end`, into the whole mask: uint8 up to 256 classes, else uint16. An undefined value
  // (NaN) wins wherever it has a say, as in torch; a cell of weight zero has none.
  void labels(const Logits &logits, std::size_t begin, std::size_t end, void *mask) const;

  // Whether the only channel is above `cut` (see logit_above), uint8.
  void above(const Logits &logits, float cut, std::size_t begin, std::size_t end, std::uint8_t *mask) const;

  // Probabilities, into the whole float32 (classes, height, width).
  void scores(const Logits &logits, Activation activation, std::size_t begin, std::size_t end, float *scores) const;

 private:
  Operators taps_;
  std::vector<Run> rows_, columns_;
};

// The float32 x such that float32 sigmoid(y) > threshold exactly when y > x.
float logit_above(double threshold);

}  // namespace segship
