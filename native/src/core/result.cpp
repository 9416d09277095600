#include "core/result.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/pixels.hpp"

namespace segship {

namespace {

std::size_t whole(std::int64_t value) { return static_cast<std::size_t>(value); }

std::int64_t label_at(const Output &output, std::size_t place) {
  switch (output.dtype) {
    case SEGSHIP_UINT8:
      return static_cast<const std::uint8_t *>(output.data)[place];
    case SEGSHIP_UINT16:
      return static_cast<const std::uint16_t *>(output.data)[place];
    case SEGSHIP_INT32:
      return static_cast<const std::int32_t *>(output.data)[place];
    default:
      return static_cast<const std::int64_t *>(output.data)[place];
  }
}

}  // namespace

Result::Result(const Spec &spec, const Windows &windows, Size image, void *mask, float *scores)
    : spec_(spec), windows_(windows), image_(image), steps_(inverse_steps(spec, image)), mask_(mask), scores_(scores) {
  if (spec.decided && mask == nullptr) {
    throw unsupported_error(
        "this engine returns labels, not scores: export the network without its postprocess");
  }
  if (spec.returned == Returned::labels && mask == nullptr) {
    throw unsupported_error(
        "this network returns labels, of which no scores are known: export it without the argmax or the comparison that "
        "it ends in");
  }
  if (spec.returned == Returned::probabilities && !spec.factors.empty() && mask == nullptr) {
    throw unsupported_error(
        "the scores of this package are calibrated, and its network returns probabilities, which this library does not "
        "calibrate: use the Python library, or export without --labels");
  }
}

void Result::add(const Output &output) {
  if (spec_.decided) {
    add_labels(output);
  } else {
    add_logits(output);
  }
  ++taken_;
}

void Result::add_labels(const Output &output) {
  if (output.channels != 1 || output.dtype == SEGSHIP_FLOAT32) {
    throw backend_error("the engine returns numbers that are no labels: whole numbers (height, width) were expected");
  }
  std::vector<std::uint16_t> labels(whole(output.size.height * output.size.width));
  const auto count = static_cast<std::int64_t>(spec_.classes.size());
  std::int64_t low = 0, high = 0;
  for (std::size_t place = 0; place < labels.size(); ++place) {
    const std::int64_t label = label_at(output, place);
    low = place ? std::min(low, label) : label;
    high = place ? std::max(high, label) : label;
    labels[place] = static_cast<std::uint16_t>(label);
  }
  if (low < 0 || high >= count) {
    throw backend_error("the engine returns the labels " + std::to_string(low) + " to " + std::to_string(high) + ", but " +
                        std::to_string(count) + " classes are known of it");
  }
  if (spec_.embeds_pre && output.size != image_) {
    throw backend_error("the engine returns " + text(output.size) + " labels for an image of " + text(image_) + " pixels");
  }
  resize_labels(labels, output.size, spec_.embeds_pre ? std::vector<Step>{} : steps_, spec_.label_bytes(), mask_);
}

void Result::add_logits(const Output &output) {
  if (output.dtype != SEGSHIP_FLOAT32) throw backend_error("the engine returns logits that are not float32");
  if (output.channels != spec_.score_channels()) {
    throw backend_error("the engine returns " + std::to_string(output.channels) + " channels, but " +
                        std::to_string(spec_.score_channels()) + " are known of it");
  }
  if (!resampler_) {
    cells_ = output.size;
    resampler_.emplace(operators(spec_.slide ? &windows_ : nullptr, cells_, steps_, spec_.align_corners));
  } else if (output.size != cells_) {
    throw backend_error("the engine returns logits of " + text(output.size) + " after some of " + text(cells_));
  }
  const auto *values = scaled(static_cast<const float *>(output.data), whole(cells_.height * cells_.width));
  if (windows_.count() > 1) return keep(values);
  const std::size_t height = whole(cells_.height), width = whole(cells_.width);
  finish({values, whole(output.channels), width, height * width, 0, height}, resampler_->runs());
}

// Put a window beside those of its line; with the last of a line, finish what can be.
void Result::keep(const float *logits) {
  const std::size_t height = whole(cells_.height), width = whole(cells_.width), columns = windows_.lefts.size();
  const std::size_t channels = whole(spec_.score_channels()), stride = columns * width;
  const std::size_t line = taken_ / columns, column = taken_ % columns;
  if (column == 0) {  // room for a line; what nobody needs any more goes
    const std::size_t first = std::min(std::max(resampler_->lowest(done_), first_), first_ + rows_);
    const std::size_t dropped = first - first_, kept = rows_ - dropped;
    std::vector<float> next(channels * (kept + height) * stride);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      std::copy_n(kept_.begin() + static_cast<std::ptrdiff_t>((channel * rows_ + dropped) * stride), kept * stride,
                  next.begin() + static_cast<std::ptrdiff_t>(channel * (kept + height) * stride));
    }
    kept_ = std::move(next);
    first_ = first;
    rows_ = kept + height;
  }
  for (std::size_t channel = 0; channel < channels; ++channel) {
    for (std::size_t y = 0; y < height; ++y) {
      std::copy_n(logits + (channel * height + y) * width, width,
                  kept_.begin() + static_cast<std::ptrdiff_t>((channel * rows_ + rows_ - height + y) * stride + column * width));
    }
  }
  if (column + 1 < columns) return;
  finish({kept_.data(), channels, stride, rows_ * stride, first_, rows_}, resampler_->ready((line + 1) * height));
}

const float *Result::scaled(const float *logits, std::size_t cells) {
  if (mask_ != nullptr || spec_.factors.empty()) return logits;
  const std::size_t channels = whole(spec_.score_channels());
  scaled_.resize(channels * cells);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const float factor = spec_.factors[spec_.factors.size() == 1 ? 0 : channel];
    for (std::size_t cell = channel * cells; cell < (channel + 1) * cells; ++cell) scaled_[cell] = logits[cell] * factor;
  }
  return scaled_.data();
}

void Result::finish(const Logits &logits, std::size_t end) {
  const bool activated = spec_.returned == Returned::probabilities;
  if (mask_ == nullptr) {
    const Activation activation = spec_.sigmoid ? Activation::sigmoid : Activation::softmax;
    resampler_->scores(logits, activated ? Activation::none : activation, done_, end, scores_);
  } else if (spec_.sigmoid) {
    const float cut = activated ? static_cast<float>(spec_.threshold) : logit_above(spec_.threshold);
    resampler_->above(logits, cut, done_, end, static_cast<std::uint8_t *>(mask_));
  } else {
    resampler_->labels(logits, done_, end, mask_);
  }
  done_ = end;
}

}  // namespace segship
