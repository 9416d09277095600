// segship.hpp: segship.h for C++17: handles that free themselves, views, exceptions with the library's messages.
//
//     segship::Segmentor segmentor("package");
//     segship::Mask mask = segmentor({pixels, height, width});
//     std::puts(segmentor.spec().name(mask.at(0, 0)));
#ifndef SEGSHIP_SEGSHIP_HPP
#define SEGSHIP_SEGSHIP_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "segship/segship.h"

namespace segship {
// Names of its own for the linker: a program may hold the library itself, whose inner names are segship's, too.
inline namespace cpp {

/// What a call of the library refuses; `what` says in one line what was found, what was expected, what to do.
class Exception : public std::runtime_error {
 public:
  Exception(segship_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
  /// One of SEGSHIP_INPUT_ERROR, SEGSHIP_SIZE_ERROR, ...
  segship_status status() const noexcept { return status_; }

 private:
  segship_status status_;
};

/// Throw the exception of a status that is not SEGSHIP_OK.
inline void require(segship_status status) {
  if (status == SEGSHIP_MEMORY_ERROR) throw std::bad_alloc();
  if (status != SEGSHIP_OK) throw Exception(status, segship_last_error());
}

/// A view of numbers in a row that somebody else owns.
template <class Value>
class Span {
 public:
  Span() = default;
  Span(Value *data, std::size_t size) : data_(data), size_(size) {}
  template <class Container, class = decltype(std::declval<Container &>().data())>
  Span(Container &container) : data_(container.data()), size_(container.size()) {}  // NOLINT: a view is made silently

  Value *data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t bytes() const noexcept { return size_ * sizeof(Value); }
  Value *begin() const noexcept { return data_; }
  Value *end() const noexcept { return data_ + size_; }
  Value &operator[](std::size_t place) const { return data_[place]; }

 private:
  Value *data_ = nullptr;
  std::size_t size_ = 0;
};

/// Order of the channels of a photograph.
enum class Order : std::int32_t { rgb = SEGSHIP_RGB, bgr = SEGSHIP_BGR };

/// An image in memory, which is not copied; see segship_image.
struct Image : segship_image {
  /// A photograph of bytes: 1 (grey), 3 or 4 channels, the fourth of which is alpha. A stride of 0: rows have no gap.
  Image(const std::uint8_t *pixels, std::int32_t height_, std::int32_t width_, std::int32_t channels_ = 3,
        Order order_ = Order::rgb, std::int64_t row_stride_ = 0)
      : Image(pixels, SEGSHIP_UINT8, height_, width_, channels_, order_, row_stride_) {}
  /// An image of many bands, as they are stored.
  Image(const std::uint16_t *bands, std::int32_t height_, std::int32_t width_, std::int32_t channels_,
        std::int64_t row_stride_ = 0)
      : Image(bands, SEGSHIP_UINT16, height_, width_, channels_, Order::rgb, row_stride_) {}
  /// An image of many bands, as they are stored.
  Image(const float *bands, std::int32_t height_, std::int32_t width_, std::int32_t channels_,
        std::int64_t row_stride_ = 0)
      : Image(bands, SEGSHIP_FLOAT32, height_, width_, channels_, Order::rgb, row_stride_) {}

 private:
  Image(const void *data_, std::int32_t dtype_, std::int32_t height_, std::int32_t width_, std::int32_t channels_,
        Order order_, std::int64_t row_stride_)
      : segship_image{data_, row_stride_, height_, width_, channels_, static_cast<std::int32_t>(order_), dtype_} {}
};

/// The label of each pixel of an image, row by row.
class Mask {
 public:
  Mask(std::int32_t height, std::int32_t width, std::int32_t label_bytes)
      : height_(height),
        width_(width),
        label_bytes_(label_bytes),
        data_(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
              static_cast<std::size_t>(label_bytes)) {}

  std::int32_t height() const noexcept { return height_; }
  std::int32_t width() const noexcept { return width_; }
  /// 1: labels are uint8; 2: uint16, for more than 256 classes.
  std::int32_t label_bytes() const noexcept { return label_bytes_; }
  /// The label of a pixel.
  std::int32_t at(std::int32_t y, std::int32_t x) const {
    if (y < 0 || y >= height_ || x < 0 || x >= width_) throw std::out_of_range("the mask has no such pixel");
    const std::size_t place = static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x);
    if (label_bytes_ == 1) return data_[place];
    return reinterpret_cast<const std::uint16_t *>(data_.data())[place];
  }
  /// All labels, as bytes.
  Span<const std::uint8_t> bytes() const noexcept { return {data_.data(), data_.size()}; }
  Span<std::uint8_t> bytes() noexcept { return {data_.data(), data_.size()}; }

 private:
  std::int32_t height_, width_, label_bytes_;
  std::vector<std::uint8_t> data_;
};

/// The probability of each class at each pixel: (channels, height, width).
struct Scores {
  std::int32_t channels = 0, height = 0, width = 0;
  std::vector<float> values;
};

/// The input that a network expects and the meaning of its output; and the pieces alone, for those who run their engine
/// themselves.
class Spec {
 public:
  /// Read the text of a manifest.json.
  static Spec parse(std::string_view json) {
    segship_spec *spec = nullptr;
    require(segship_spec_parse(json.data(), json.size(), &spec));
    return Spec(std::shared_ptr<const segship_spec>(spec, [](segship_spec *own) { segship_spec_free(own); }));
  }

  std::int32_t classes() const noexcept { return segship_classes(get()); }
  /// Name of a class; NULL where there is no such label.
  const char *name(std::int32_t label) const noexcept { return segship_class_name(get(), label); }
  /// Colour of a class as 0xRRGGBB; -1 where there is no such label.
  std::int32_t color(std::int32_t label) const noexcept { return segship_class_color(get(), label); }
  /// Number of bands where the network takes all of them as they are stored; 0: photographs.
  std::int32_t bands() const noexcept { return segship_bands(get()); }
  std::int32_t label_bytes() const noexcept { return segship_label_bytes(get()); }
  std::int32_t score_channels() const noexcept { return segship_score_channels(get()); }
  const char *backend() const noexcept { return segship_backend(get()); }
  const char *engine_file() const noexcept { return segship_engine_file(get()); }
  const char *input_name() const noexcept { return segship_input_name(get()); }
  const char *output_name() const noexcept { return segship_output_name(get()); }

  /// The arrays between an image of this size and its mask.
  segship_plan plan(std::int32_t height, std::int32_t width) const {
    segship_plan plan{};
    require(segship_plan_image(get(), height, width, &plan));
    return plan;
  }
  /// Make the engine's input of an image.
  void prepare(const segship_image &image, Span<float> input) const {
    require(segship_prepare(get(), &image, input.data(), input.bytes()));
  }
  /// Make the mask of what the engine returned for an image.
  Mask decide(std::int32_t height, std::int32_t width, const segship_tensor &output) const {
    plan(height, width);
    Mask mask(height, width, label_bytes());
    require(segship_decide(get(), height, width, &output, mask.bytes().data(), mask.bytes().size()));
    return mask;
  }
  /// Make the scores of what the engine returned for an image.
  Scores decide_scores(std::int32_t height, std::int32_t width, const segship_tensor &output) const {
    plan(height, width);
    Scores scores = room_for_scores(height, width);
    require(segship_decide_scores(get(), height, width, &output, scores.values.data(),
                                  scores.values.size() * sizeof(float)));
    return scores;
  }
  /// The colours of a mask over its image: uint8 (height, width, 3), RGB.
  std::vector<std::uint8_t> overlay(const segship_image &image, const Mask &mask, double opacity = 0.5) const {
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(mask.height()) * static_cast<std::size_t>(mask.width()) * 3);
    require(segship_overlay(get(), &image, mask.bytes().data(), mask.bytes().size(), opacity, rgb.data(), rgb.size()));
    return rgb;
  }

  const segship_spec *get() const noexcept { return spec_.get(); }

 private:
  friend class Segmentor;
  explicit Spec(std::shared_ptr<const segship_spec> spec) : spec_(std::move(spec)) {}
  Scores room_for_scores(std::int32_t height, std::int32_t width) const {
    const std::size_t pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    return {score_channels(), height, width,
            std::vector<float>(pixels * static_cast<std::size_t>(score_channels()))};
  }

  std::shared_ptr<const segship_spec> spec_;
};

/// How a package is opened; see segship_options.
struct Options {
  std::string runtime = {};     ///< the engine's library or its folder; empty: searched
  std::string device = "cpu";   ///< what the engine runs on
  std::int32_t threads = 0;     ///< of the engine; 0: its own choice
  std::int64_t max_pixels = 0;  ///< images with more are refused; 0: 100 million
};

/// An opened package. Any number of threads may use one at the same time; copies share it.
class Segmentor {
 public:
  explicit Segmentor(const std::string &package, const Options &options = {}) {
    require(segship_require(SEGSHIP_VERSION, sizeof(void *)));
    segship_options given;
    segship_options_init(&given);
    given.runtime = options.runtime.empty() ? nullptr : options.runtime.c_str();
    given.device = options.device.c_str();
    given.threads = options.threads;
    given.max_pixels = options.max_pixels;
    segship_segmentor *opened = nullptr;
    require(segship_open(package.c_str(), &given, &opened));
    segmentor_.reset(opened, segship_close);
  }

  /// What the network expects and means; it keeps the package open.
  Spec spec() const {
    return Spec(std::shared_ptr<const segship_spec>(segmentor_, segship_segmentor_spec(segmentor_.get())));
  }
  /// The engine that runs, with its version and library.
  const char *engine() const noexcept { return segship_segmentor_engine(segmentor_.get()); }

  /// The mask of an image, at its own size.
  Mask operator()(const segship_image &image) const {
    check(image);
    Mask mask(image.height, image.width, spec().label_bytes());
    require(segship_mask(segmentor_.get(), &image, mask.bytes().data(), mask.bytes().size()));
    return mask;
  }
  /// The same, into labels of the caller's.
  void mask(const segship_image &image, Span<std::uint8_t> labels) const {
    require(segship_mask(segmentor_.get(), &image, labels.data(), labels.bytes()));
  }
  /// The same, into labels of the caller's, for more than 256 classes.
  void mask(const segship_image &image, Span<std::uint16_t> labels) const {
    require(segship_mask(segmentor_.get(), &image, labels.data(), labels.bytes()));
  }
  /// The probability of each class at each pixel.
  Scores scores(const segship_image &image) const {
    check(image);
    Scores scores = spec().room_for_scores(image.height, image.width);
    require(segship_scores(segmentor_.get(), &image, scores.values.data(), scores.values.size() * sizeof(float)));
    return scores;
  }

  const segship_segmentor *get() const noexcept { return segmentor_.get(); }

 private:
  static void check(const segship_image &image) {
    if (image.height < 1 || image.width < 1) throw Exception(SEGSHIP_INPUT_ERROR, "the image is empty");
  }

  std::shared_ptr<segship_segmentor> segmentor_;
};

}  // namespace cpp
}  // namespace segship

#endif
