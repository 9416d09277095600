// From what an engine returns, window by window, to a mask or scores.
#pragma once

#include <optional>

#include "core/decide.hpp"
#include "segship/segship.h"

namespace segship {

// What the engine returned for one window, (channels, height, width).
struct Output {
  const void *data = nullptr;
  std::int32_t dtype = SEGSHIP_FLOAT32;
  std::int64_t channels = 0;
  Size size;
};

// Takes the windows one after the other. Parts of the image are finished as soon as all windows that they draw on are
// there, and logits that no later part needs are dropped: memory grows with the width of the image only.
class Result {
 public:
  // Into a mask of labels of the spec's type, or, where `mask` is NULL, into float32 scores.
  Result(const Spec &spec, const Windows &windows, Size image, void *mask, float *scores);

  // Error: it is not what this network returns.
  void add(const Output &output);

 private:
  void add_labels(const Output &output);
  void add_logits(const Output &output);
  void keep(const float *logits);
  // The logits of a window divided by the temperatures, where scores are made of them.
  const float *scaled(const float *logits, std::size_t cells);
  void finish(const Logits &logits, std::size_t end);

  const Spec &spec_;
  const Windows &windows_;
  Size image_;
  std::vector<Step> steps_;
  void *mask_;
  float *scores_;
  std::size_t taken_ = 0;  // windows
  Size cells_;             // of one window
  std::optional<Resampler> resampler_;
  std::size_t done_ = 0;  // runs of rows
  std::vector<float> kept_, scaled_;
  std::size_t first_ = 0, rows_ = 0;  // that are kept
};

}  // namespace segship
