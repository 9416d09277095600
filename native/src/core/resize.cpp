// Resizing of pixels, to the last bit as OpenCV and Pillow do it.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/clones.hpp"
#include "core/pixels.hpp"

namespace segship {

namespace {

using std::int32_t;
using std::int64_t;
using std::size_t;
using std::uint8_t;

size_t whole(int64_t value) { return static_cast<size_t>(value); }

// ---- OpenCV's bilinear

constexpr float kOne = 2048;  // a weight of 1, for bytes

// The two cells of each position along one axis, and the share of the second.
struct Pair {
  int64_t low, high;
  float share;
};

// OpenCV moves what lies outside to the border cell; along the columns the share goes with it, along the rows it stays,
// and rounding tells the two apart.
std::vector<Pair> pairs(int64_t cells, int64_t positions, bool columns) {
  const double scale = 1.0 / (static_cast<double>(positions) / static_cast<double>(cells));
  std::vector<Pair> found(whole(positions));
  for (int64_t position = 0; position < positions; ++position) {
    const auto place = static_cast<float>((static_cast<double>(position) + 0.5) * scale - 0.5);
    auto low = static_cast<int64_t>(std::floor(place));
    float share = place - static_cast<float>(low);
    if (columns && (low < 0 || low >= cells - 1)) share = 0;
    found[whole(position)] = {std::clamp<int64_t>(low, 0, cells - 1), std::clamp<int64_t>(low + 1, 0, cells - 1), share};
  }
  return found;
}

int32_t fixed(float share) { return static_cast<int32_t>(std::nearbyint(share * kOne)); }

struct Column {
  size_t low, high;
  int32_t rest, share;
};

// One row of bytes at the new width, in units of 1/128.
template <size_t Channels>
void widen(const uint8_t *row, const std::vector<Column> &columns, size_t channels, std::int16_t *out) {
  const size_t count = Channels ? Channels : channels;
  for (const Column &column : columns) {
    for (size_t channel = 0; channel < count; ++channel) {
      const int32_t sum = row[column.low + channel] * column.rest + row[column.high + channel] * column.share;
      *out++ = static_cast<std::int16_t>(sum >> 4);
    }
  }
}

SEGSHIP_CLONES void blend_bytes(const std::int16_t *above, const std::int16_t *below, int32_t rest, int32_t share,
                                size_t count, uint8_t *out) {
  for (size_t x = 0; x < count; ++x) {
    out[x] = static_cast<uint8_t>((((rest * above[x]) >> 16) + ((share * below[x]) >> 16) + 2) >> 2);
  }
}

SEGSHIP_CLONES void blend_floats(const float *above, const float *below, float share, size_t count, float *out) {
  const float rest = 1.0f - share;
  for (size_t x = 0; x < count; ++x) out[x] = above[x] * rest + below[x] * share;
}

// Keeps the rows that were widened last, for the next position mostly draws on one of them.
template <class Value, class Widen>
class Rows {
 public:
  Rows(size_t length, Widen widen) : widen_(widen) {
    for (auto &row : row_) row.resize(length);
  }
  const Value *get(int64_t y, int64_t keep) {
    for (size_t slot = 0; slot < 2; ++slot) {
      if (at_[slot] == y) return row_[slot].data();
    }
    const size_t slot = at_[0] == keep ? 1 : 0;
    widen_(y, row_[slot].data());
    at_[slot] = y;
    return row_[slot].data();
  }

 private:
  Widen widen_;
  std::vector<Value> row_[2];
  int64_t at_[2] = {-1, -1};
};

void linear_bytes(const Pixels &image, Pixels &out) {
  const size_t channels = image.channels;
  std::vector<Column> columns;
  for (const Pair &pair : pairs(image.size.width, out.size.width, true)) {
    columns.push_back({whole(pair.low) * channels, whole(pair.high) * channels, fixed(1.0f - pair.share), fixed(pair.share)});
  }
  const auto widen_row = [&](int64_t y, std::int16_t *to) {
    const uint8_t *row = image.bytes.data() + whole(y) * image.row();
    if (channels == 3) {
      widen<3>(row, columns, channels, to);
    } else if (channels == 1) {
      widen<1>(row, columns, channels, to);
    } else {
      widen<0>(row, columns, channels, to);
    }
  };
  Rows<std::int16_t, decltype(widen_row)> rows(out.row(), widen_row);
  const std::vector<Pair> lines = pairs(image.size.height, out.size.height, false);
  for (size_t y = 0; y < lines.size(); ++y) {
    const std::int16_t *above = rows.get(lines[y].low, lines[y].high);
    const std::int16_t *below = rows.get(lines[y].high, lines[y].low);
    blend_bytes(above, below, fixed(1.0f - lines[y].share), fixed(lines[y].share), out.row(),
                out.bytes.data() + y * out.row());
  }
}

void linear_floats(const Pixels &image, Pixels &out) {
  const size_t channels = image.channels;
  const std::vector<Pair> columns = pairs(image.size.width, out.size.width, true);
  const auto widen_row = [&](int64_t y, float *to) {
    const float *row = image.floats.data() + whole(y) * image.row();
    for (const Pair &pair : columns) {
      const float *low = row + whole(pair.low) * channels, *high = row + whole(pair.high) * channels;
      for (size_t channel = 0; channel < channels; ++channel) {
        *to++ = low[channel] * (1.0f - pair.share) + high[channel] * pair.share;
      }
    }
  };
  Rows<float, decltype(widen_row)> rows(out.row(), widen_row);
  const std::vector<Pair> lines = pairs(image.size.height, out.size.height, false);
  for (size_t y = 0; y < lines.size(); ++y) {
    const float *above = rows.get(lines[y].low, lines[y].high);
    const float *below = rows.get(lines[y].high, lines[y].low);
    blend_floats(above, below, lines[y].share, out.row(), out.floats.data() + y * out.row());
  }
}

// Exactly half of each side: OpenCV takes the mean of four pixels; of three rounding rules, that of its kernels.
void halve(const Pixels &image, Pixels &out) {
  const size_t channels = image.channels;
  const bool up = channels == 1 || channels == 3 || channels == 4;
  for (size_t y = 0; y < whole(out.size.height); ++y) {
    const uint8_t *above = image.bytes.data() + 2 * y * image.row(), *below = above + image.row();
    uint8_t *to = out.bytes.data() + y * out.row();
    for (size_t x = 0; x < whole(out.size.width); ++x) {
      for (size_t channel = 0; channel < channels; ++channel) {
        const size_t left = 2 * x * channels + channel, right = left + channels;
        const int sum = above[left] + above[right] + below[left] + below[right];
        const bool even = sum % 4 == 2 && sum / 4 % 2 == 0;
        *to++ = static_cast<uint8_t>((sum + (up || !even ? 2 : 0)) / 4);
      }
    }
  }
}

// ---- Pillow's filters

constexpr int kBits = 32 - 8 - 2;  // of the fraction of Pillow's weights, and the most of torchvision's

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// The cells that each position of an axis draws on, and how much.
struct Filter {
  std::vector<size_t> begin, count;
  size_t most = 0;
  std::vector<double> weight;  // (positions, most)
};

Filter make_filter(int64_t cells, int64_t positions, bool cubic) {
  const double scale = static_cast<double>(cells) / static_cast<double>(positions), wide = std::max(scale, 1.0);
  const double support = (cubic ? 2.0 : 1.0) * wide;
  Filter filter;
  filter.most = whole(static_cast<int64_t>(std::ceil(support))) * 2 + 1;
  filter.weight.assign(whole(positions) * filter.most, 0);
  for (int64_t position = 0; position < positions; ++position) {
    const double center = (static_cast<double>(position) + 0.5) * scale;
    const int64_t low = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t high = std::min(static_cast<int64_t>(center + support + 0.5), cells);
    double *weight = &filter.weight[whole(position) * filter.most], sum = 0;
    for (int64_t cell = low; cell < high; ++cell) {
      const double place = (static_cast<double>(cell) - center + 0.5) * (1.0 / wide);
      weight[cell - low] = cubic ? bicubic(place) : bilinear(place);
      sum += weight[cell - low];
    }
    for (int64_t cell = low; cell < high && sum != 0; ++cell) weight[cell - low] /= sum;
    filter.begin.push_back(whole(low));
    filter.count.push_back(whole(high - low));
  }
  return filter;
}

// A position's bytes, `step` apart.
uint8_t filtered(const uint8_t *cells, size_t step, const int32_t *weight, size_t count, int bits) {
  int32_t sum = 1 << (bits - 1);
  for (size_t cell = 0; cell < count; ++cell) sum += cells[cell * step] * weight[cell];
  return static_cast<uint8_t>(std::clamp(sum >> bits, 0, 255));
}

float filtered(const float *cells, size_t step, const double *weight, size_t count, int) {
  double sum = 0;
  for (size_t cell = 0; cell < count; ++cell) sum += static_cast<double>(cells[cell * step]) * weight[cell];
  return static_cast<float>(sum);
}

std::vector<int32_t> fixed_weights(const Filter &filter, int bits) {
  std::vector<int32_t> weights;
  for (const double weight : filter.weight) {
    weights.push_back(static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << bits)));
  }
  return weights;
}

// As many bits as let the largest weight fit into 16.
int short_bits(const Filter &filter) {
  const double most = *std::max_element(filter.weight.begin(), filter.weight.end());
  int bits = 0;
  while (bits < kBits && static_cast<int>(0.5 + most * (1 << (bits + 1))) < (1 << 15)) ++bits;
  return bits;
}

// Filter rows of `length` numbers: across, every pixel of `channels` numbers; or down, where a pixel is a whole row.
template <class Value, class Weight>
void filter_axis(const Filter &filter, const std::vector<Weight> &weights, const Value *from, size_t outer,
                 size_t cells, size_t inner, int bits, Value *to) {
  const size_t positions = filter.begin.size();
  for (size_t line = 0; line < outer; ++line) {
    for (size_t position = 0; position < positions; ++position) {
      const Value *first = from + (line * cells + filter.begin[position]) * inner;
      const Weight *weight = &weights[position * filter.most];
      for (size_t place = 0; place < inner; ++place) {
        *to++ = filtered(first + place, inner, weight, filter.count[position], bits);
      }
    }
  }
}

Pixels filter_image(const Pixels &image, const Filter &filter, bool across, int bits) {
  const auto positions = static_cast<int64_t>(filter.begin.size());
  Pixels out(across ? Size{image.size.height, positions} : Size{positions, image.size.width}, image.channels,
             image.is_float);
  const size_t outer = across ? whole(image.size.height) : 1, inner = across ? image.channels : image.row();
  const size_t cells = whole(across ? image.size.width : image.size.height);
  if (image.is_float) {
    filter_axis(filter, filter.weight, image.floats.data(), outer, cells, inner, bits, out.floats.data());
  } else {
    filter_axis(filter, fixed_weights(filter, bits), image.bytes.data(), outer, cells, inner, bits, out.bytes.data());
  }
  return out;
}

}  // namespace

Pixels resize_linear(const Pixels &image, Size size) {
  Pixels out(size, image.channels, image.is_float);
  if (image.is_float) {
    linear_floats(image, out);
  } else if (image.size.height == 2 * size.height && image.size.width == 2 * size.width) {
    halve(image, out);
  } else {
    linear_bytes(image, out);
  }
  return out;
}

Pixels resize_pillow(const Pixels &image, Size size, bool cubic) {
  const int64_t shorter = image.size.height - size.height, narrower = image.size.width - size.width;
  // The first axis is rounded before the second is filtered. Pillow 13 begins with the one that leaves less to do.
  const bool down_first = shorter > 0 && shorter > 2 * narrower;
  Pixels out = image;
  for (const bool across : {!down_first, down_first}) {
    const int64_t cells = across ? out.size.width : out.size.height, wanted = across ? size.width : size.height;
    if (cells != wanted) out = filter_image(out, make_filter(cells, wanted, cubic), across, kBits);
  }
  return out;
}

Pixels resize_torchvision(const Pixels &image, Size size, bool cubic) {
  if (image.is_float) return resize_pillow(image, size, cubic);
  Pixels out = image;
  for (const bool across : {true, false}) {
    const int64_t cells = across ? out.size.width : out.size.height, wanted = across ? size.width : size.height;
    if (cells == wanted) continue;
    const Filter filter = make_filter(cells, wanted, cubic);
    out = filter_image(out, filter, across, short_bits(filter));
  }
  return out;
}

}  // namespace segship
