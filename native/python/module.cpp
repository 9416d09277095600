// Arrays of NumPy in front of the core. The interpreter's lock is released while it works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <memory>
#include <stdexcept>

#include "core/decide.hpp"

namespace nb = nanobind;

namespace {

using Index = nb::ndarray<const std::int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Weight = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Image = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Planes = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Tables = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

segship::Taps taps_of(const Index &index, const Weight &weight, std::size_t cells) {
  if (index.shape(0) != weight.shape(0) || index.shape(1) != weight.shape(1) || index.size() == 0) {
    throw std::invalid_argument("index and weight are of one shape, and not empty");
  }
  for (std::size_t place = 0; place < index.size(); ++place) {
    if (index.data()[place] < 0 || static_cast<std::size_t>(index.data()[place]) >= cells) {
      throw std::invalid_argument("an index is outside the cells");
    }
  }
  segship::Taps taps;
  taps.width = index.shape(1);
  taps.cells = cells;
  taps.index.assign(index.data(), index.data() + index.size());
  taps.weight.assign(weight.data(), weight.data() + weight.size());
  return taps;
}

template <class Value>
nb::object owned(std::unique_ptr<Value[]> data, std::initializer_list<std::size_t> shape) {
  Value *raw = data.release();
  nb::capsule owner(raw, [](void *place) noexcept { delete[] static_cast<Value *>(place); });
  return nb::cast(nb::ndarray<nb::numpy, Value>(raw, shape, owner));
}

class Resampler {
 public:
  Resampler(const Index &row_index, const Weight &row_weight, std::size_t rows, const Index &column_index,
            const Weight &column_weight, std::size_t columns)
      : rows_(rows), columns_(columns),
        resampler_({taps_of(row_index, row_weight, rows), taps_of(column_index, column_weight, columns)}) {}

  nb::object labels(const Logits &logits) const {
    return logits.shape(0) <= 256 ? labels_of<std::uint8_t>(logits) : labels_of<std::uint16_t>(logits);
  }

  nb::object above(const Logits &logits, float cut) const {
    const segship::Logits given = checked(logits);
    if (given.classes != 1) throw std::invalid_argument("a threshold decides about one class");
    auto mask = room<std::uint8_t>(1);
    {
      nb::gil_scoped_release released;
      resampler_.above(given, cut, 0, resampler_.runs(), mask.get());
    }
    return owned(std::move(mask), {resampler_.height(), resampler_.width()});
  }

  nb::object scores(const Logits &logits, bool sigmoid, bool activated) const {
    const segship::Logits given = checked(logits);
    const auto activation = activated ? segship::Activation::none
                                      : sigmoid ? segship::Activation::sigmoid : segship::Activation::softmax;
    auto found = room<float>(given.classes);
    {
      nb::gil_scoped_release released;
      resampler_.scores(given, activation, 0, resampler_.runs(), found.get());
    }
    return owned(std::move(found), {given.classes, resampler_.height(), resampler_.width()});
  }

 private:
  segship::Logits checked(const Logits &logits) const {
    if (logits.shape(0) == 0 || logits.shape(1) != rows_ || logits.shape(2) != columns_) {
      throw std::invalid_argument("the logits have another size than the operators");
    }
    return {logits.data(), logits.shape(0), columns_, rows_ * columns_, 0, rows_};
  }

  template <class Value>
  std::unique_ptr<Value[]> room(std::size_t planes) const {
    return std::unique_ptr<Value[]>(new Value[planes * resampler_.height() * resampler_.width()]);
  }

  template <class Label>
  nb::object labels_of(const Logits &logits) const {
    const segship::Logits given = checked(logits);
    auto mask = room<Label>(1);
    {
      nb::gil_scoped_release released;
      resampler_.labels(given, 0, resampler_.runs(), mask.get());
    }
    return owned(std::move(mask), {resampler_.height(), resampler_.width()});
  }

  std::size_t rows_, columns_;
  segship::Resampler resampler_;
};

// Each byte's value in its channel's table, into the upper left of `out` (channels, rows, columns).
void normalise(const Image &image, const Tables &tables, bool flip, const Planes &out) {
  const std::size_t height = image.shape(0), width = image.shape(1), channels = image.shape(2);
  const bool fits = out.shape(0) == channels && out.shape(1) >= height && out.shape(2) >= width;
  if (tables.shape(0) != channels || tables.shape(1) != 256 || !fits) {
    throw std::invalid_argument("image, tables and out do not fit together");
  }
  nb::gil_scoped_release released;
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const float *table = tables.data() + 256 * channel;
      const std::uint8_t *from = image.data() + y * width * channels + (flip ? channels - 1 - channel : channel);
      float *to = out.data() + (channel * out.shape(1) + y) * out.shape(2);
      for (std::size_t x = 0; x < width; ++x, from += channels) to[x] = table[*from];
    }
  }
}

}  // namespace

NB_MODULE(_core, module) {
  nb::class_<Resampler>(module, "Resampler")
      .def(nb::init<Index, Weight, std::size_t, Index, Weight, std::size_t>(), nb::arg("row_index"),
           nb::arg("row_weight"), nb::arg("rows"), nb::arg("column_index"), nb::arg("column_weight"),
           nb::arg("columns"))
      .def("labels", &Resampler::labels, nb::arg("logits"))
      .def("above", &Resampler::above, nb::arg("logits"), nb::arg("cut"))
      .def("scores", &Resampler::scores, nb::arg("logits"), nb::arg("sigmoid"), nb::arg("activated"));
  module.def("normalise", &normalise, nb::arg("image"), nb::arg("tables"), nb::arg("flip"), nb::arg("out"));
}
