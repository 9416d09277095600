#include "core/decide.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/clones.hpp"

namespace segship {

namespace {

constexpr std::size_t kChunk = 16;  // pixels decided together; a multiple of every vector's width

// ---- Winners of the cells

// Argmax over the classes of one row of cells, the first of equals; false where a value is not finite.
SEGSHIP_CLONES bool winners_of_row(const Logits &logits, std::size_t cell, float *best, std::uint16_t *winner) {
  const std::size_t width = logits.width;
  std::copy_n(logits.row(0, cell), width, best);
  std::fill_n(winner, width, std::uint16_t{0});
  float probe = 0;  // stays zero as long as all values are finite
  for (std::size_t x = 0; x < width; ++x) probe = std::max(probe, best[x] - best[x] == 0 ? 0.0f : 1.0f);
  for (std::size_t label = 1; label < logits.classes; ++label) {
    const float *values = logits.row(label, cell);
    float bad = 0;
    for (std::size_t x = 0; x < width; ++x) {
      const bool leads = values[x] > best[x];
      bad = std::max(bad, values[x] - values[x] == 0 ? 0.0f : 1.0f);
      best[x] = leads ? values[x] : best[x];
      winner[x] = leads ? static_cast<std::uint16_t>(label) : winner[x];
    }
    probe = std::max(probe, bad);
  }
  return probe == 0;
}

// ---- Blocks in doubt

// What one block is decided with; sized once.
struct Room {
  std::vector<float> values, lead, down, best;
  std::vector<std::uint16_t> candidates;
};

// The classes that may win in a block, from their values (classes, support): ascending.
void find_candidates(const float *values, std::size_t classes, std::size_t support, std::vector<std::uint16_t> &found) {
  float floor = -HUGE_VALF;
  for (std::size_t label = 0; label < classes; ++label) {
    float least = values[label * support];
    for (std::size_t cell = 1; cell < support; ++cell) least = std::min(least, values[label * support + cell]);
    floor = std::max(floor, least);
  }
  found.clear();
  for (std::size_t label = 0; label < classes; ++label) {
    float most = values[label * support];
    for (std::size_t cell = 1; cell < support; ++cell) most = std::max(most, values[label * support + cell]);
    if (most >= floor) found.push_back(static_cast<std::uint16_t>(label));
  }
}

void gather(const Logits &logits, const Run &rows, const Run &columns, float *values) {
  for (std::size_t label = 0; label < logits.classes; ++label) {
    for (const std::int32_t cell : rows.cells) {
      const float *row = logits.row(label, static_cast<std::size_t>(cell));
      for (const std::int32_t column : columns.cells) *values++ = row[column];
    }
  }
}

// Interpolate between the cells of a run: values (cells), `step` floats apart, to its positions.
inline void blend(const float *values, std::size_t step, std::size_t count, const Run &run, std::size_t position,
                  float *out) {
  const float *weight = run.weight.data() + position;
  const std::size_t positions = run.positions(), cells = run.cells.size();
  if (cells == 1) {
    for (std::size_t x = 0; x < count; ++x) out[x] = values[x];
    return;
  }
  for (std::size_t x = 0; x < count; ++x) out[x] = weight[0] * (values[step + x] - values[x]);
  for (std::size_t tap = 1; tap + 1 < cells; ++tap) {
    const float share = weight[tap * positions];
    for (std::size_t x = 0; x < count; ++x) out[x] += share * (values[(tap + 1) * step + x] - values[x]);
  }
  for (std::size_t x = 0; x < count; ++x) out[x] += values[x];
}

// The same across: one line of cells to all positions of a run.
inline void spread(const float *values, const Run &run, float *out) {
  const std::size_t positions = run.positions(), cells = run.cells.size();
  if (cells == 1) {
    std::fill_n(out, positions, values[0]);
    return;
  }
  const float *weight = run.weight.data();
  const float first = values[0];
  if (cells == 2) {
    const float rise = values[1] - first;
    for (std::size_t x = 0; x < positions; ++x) out[x] = weight[x] * rise + first;
    return;
  }
  for (std::size_t x = 0; x < positions; ++x) out[x] = weight[x] * (values[1] - first);
  for (std::size_t tap = 1; tap + 1 < cells; ++tap) {
    const float rise = values[tap + 1] - first;
    for (std::size_t x = 0; x < positions; ++x) out[x] += weight[tap * positions + x] * rise;
  }
  for (std::size_t x = 0; x < positions; ++x) out[x] += first;
}

// Decide every pixel of a block. What is interpolated is each candidate's lead over the first one.
template <class Label>
void settle(const Run &rows, const Run &columns, Room &room, Label *mask, std::size_t width) {
  const std::size_t across = columns.cells.size(), support = rows.cells.size() * across;
  const std::size_t positions = columns.positions();
  const float *base = room.values.data() + room.candidates[0] * support;
  room.lead.resize(support);
  room.down.resize(across + positions);
  room.best.assign(rows.positions() * positions, 0.0f);
  float *down = room.down.data(), *line = room.down.data() + across;
  for (std::size_t row = 0; row < rows.positions(); ++row) {
    std::fill_n(mask + (rows.begin + row) * width + columns.begin, positions, static_cast<Label>(room.candidates[0]));
  }
  for (std::size_t rank = 1; rank < room.candidates.size(); ++rank) {
    const Label label = static_cast<Label>(room.candidates[rank]);
    const float *values = room.values.data() + room.candidates[rank] * support;
    for (std::size_t cell = 0; cell < support; ++cell) room.lead[cell] = values[cell] - base[cell];
    for (std::size_t row = 0; row < rows.positions(); ++row) {
      blend(room.lead.data(), across, across, rows, row, down);
      spread(down, columns, line);
      Label *out = mask + (rows.begin + row) * width + columns.begin;
      float *best = room.best.data() + row * positions;
      for (std::size_t x = 0; x < positions; ++x) {
        out[x] = line[x] > best[x] ? label : out[x];
        best[x] = std::max(best[x], line[x]);
      }
    }
  }
}

// ---- Everything in doubt

// One row of cells of every class at the width of the image: (classes, stride).
void widen(const Logits &logits, std::size_t cell, const std::vector<Run> &columns, std::size_t stride, float *out) {
  float cells[64];
  std::vector<float> more;
  for (std::size_t label = 0; label < logits.classes; ++label) {
    const float *row = logits.row(label, cell);
    for (const Run &run : columns) {
      float *values = cells;
      if (run.cells.size() > std::size(cells)) {
        more.resize(run.cells.size());
        values = more.data();
      }
      for (std::size_t tap = 0; tap < run.cells.size(); ++tap) values[tap] = row[run.cells[tap]];
      spread(values, run, out + label * stride + run.begin);
    }
  }
}

// Rows of cells at the width of the image; those of the last run are kept, for the next one shares some.
class Wide {
 public:
  Wide(const Logits &logits, const std::vector<Run> &columns, std::size_t width)
      : logits_(logits), columns_(columns), stride_((width + kChunk - 1) / kChunk * kChunk) {}

  std::size_t stride() const { return stride_; }

  // The rows that a run draws on, each (classes, stride).
  const std::vector<const float *> &rows(const Run &run) {
    std::vector<Row> kept;
    for (const std::int32_t cell : run.cells) {
      const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Row &row) { return row.cell == cell; });
      if (found != kept_.end()) {
        kept.push_back(std::move(*found));
        kept_.erase(found);
        continue;
      }
      kept.push_back({cell, {}});
    }
    for (Row &row : kept) {
      if (!row.values.empty()) continue;
      if (!kept_.empty()) {  // room of a row that nobody needs any more
        row.values = std::move(kept_.back().values);
        kept_.pop_back();
      }
      row.values.resize(logits_.classes * stride_);
      widen(logits_, static_cast<std::size_t>(row.cell), columns_, stride_, row.values.data());
    }
    kept_ = std::move(kept);
    found_.clear();
    for (const Row &row : kept_) found_.push_back(row.values.data());
    return found_;
  }

 private:
  struct Row {
    std::int32_t cell;
    std::vector<float> values;
  };
  const Logits &logits_;
  const std::vector<Run> &columns_;
  std::size_t stride_;
  std::vector<Row> kept_;
  std::vector<const float *> found_;
};

// A class's values at kChunk pixels of one row of the image.
inline void values_at(const std::vector<const float *> &rows, const float *weight, std::size_t step, std::size_t place,
                      float *out) {
  const float *first = rows[0] + place;
  if (rows.size() == 1) {
    for (std::size_t x = 0; x < kChunk; ++x) out[x] = first[x];
    return;
  }
  const float share = weight[0];
  const float *second = rows[1] + place;
  for (std::size_t x = 0; x < kChunk; ++x) out[x] = share * (second[x] - first[x]) + first[x];
  for (std::size_t tap = 1; tap + 1 < rows.size(); ++tap) {
    const float *next = rows[tap + 1] + place;
    const float more = weight[tap * step];
    for (std::size_t x = 0; x < kChunk; ++x) out[x] += more * (next[x] - first[x]);
  }
}

template <class Label>
SEGSHIP_CLONES void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                               std::size_t classes, std::size_t stride, std::size_t width, Label *mask) {
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += kChunk) {
    float best[kChunk], value[kChunk];
    std::int32_t winner[kChunk] = {};
    values_at(rows, weight, run.positions(), place, best);
    for (std::size_t label = 1; label < classes; ++label) {
      values_at(rows, weight, run.positions(), label * stride + place, value);
      for (std::size_t x = 0; x < kChunk; ++x) {
        winner[x] = value[x] > best[x] ? static_cast<std::int32_t>(label) : winner[x];
        best[x] = value[x] > best[x] ? value[x] : best[x];
      }
    }
    const std::size_t count = std::min(kChunk, width - place);
    for (std::size_t x = 0; x < count; ++x) mask[place + x] = static_cast<Label>(winner[x]);
  }
}

// ---- Values that are not finite

// One position of an axis, cell by cell, so that an infinite or undefined cell reaches only those that draw on it.
template <class Value>
inline float exactly(const Taps &taps, std::size_t position, Value &&value) {
  const std::int32_t *index = &taps.index[position * taps.width];
  const float *weight = &taps.weight[position * taps.width];
  float sum = value(index[0]) * weight[0];
  for (std::size_t tap = 1; tap < taps.width; ++tap) {
    if (weight[tap] != 0) sum += value(index[tap]) * weight[tap];
  }
  return sum;
}

// A row of the image for all classes: (classes, width).
void exact_row(const Logits &logits, const Taps &rows, const Taps &columns, std::size_t row, std::vector<float> &out) {
  const std::size_t width = columns.size();
  out.resize(logits.classes * width);
  for (std::size_t label = 0; label < logits.classes; ++label) {
    for (std::size_t x = 0; x < width; ++x) {
      out[label * width + x] = exactly(rows, row, [&](std::int32_t cell) {
        const float *line = logits.row(label, static_cast<std::size_t>(cell));
        return exactly(columns, x, [line](std::int32_t column) { return line[column]; });
      });
    }
  }
}

std::size_t first_greatest(const float *values, std::size_t step, std::size_t classes) {
  std::size_t winner = 0;
  for (std::size_t label = 0; label < classes; ++label) {
    if (std::isnan(values[label * step])) return label;
    if (values[label * step] > values[winner * step]) winner = label;
  }
  return winner;
}

// ---- The whole of a mask

// What the cells of the rows say: who wins, and whether all values are finite. Filled as rows are needed.
class Cells {
 public:
  explicit Cells(const Logits &logits)
      : logits_(logits), best_(logits.width), winner_(logits.rows * logits.width), state_(logits.rows) {}

  const std::uint16_t *winners(std::int32_t cell) {
    const std::size_t row = static_cast<std::size_t>(cell) - logits_.first;
    std::uint16_t *winner = winner_.data() + row * logits_.width;
    if (state_[row] == 0) {
      state_[row] = winners_of_row(logits_, static_cast<std::size_t>(cell), best_.data(), winner) ? 1 : 2;
    }
    return winner;
  }
  bool is_finite(const Run &run) {
    bool finite = true;
    for (const std::int32_t cell : run.cells) {
      winners(cell);
      finite = finite && state_[static_cast<std::size_t>(cell) - logits_.first] == 1;
    }
    return finite;
  }

 private:
  const Logits &logits_;
  std::vector<float> best_;
  std::vector<std::uint16_t> winner_;
  std::vector<std::uint8_t> state_;
};

// Least and greatest winner of the cells of a run, in every column of cells.
SEGSHIP_CLONES void span(const std::uint16_t *winners, std::size_t width, std::uint16_t *low, std::uint16_t *high) {
  for (std::size_t x = 0; x < width; ++x) {
    low[x] = std::min(low[x], winners[x]);
    high[x] = std::max(high[x], winners[x]);
  }
}

// Makes the labels of one run of rows after the other.
template <class Label>
class Decision {
 public:
  Decision(const Logits &logits, const std::vector<Run> &columns, std::size_t width, Label *mask)
      : logits_(logits), columns_(columns), width_(width), mask_(mask), cells_(logits), wide_(logits, columns, width) {}

  bool is_finite(const Run &rows) { return cells_.is_finite(rows); }

  void run(const Run &rows) {
    const std::uint16_t *winners = cells_.winners(rows.cells[0]);
    low_.assign(winners, winners + logits_.width);
    high_ = low_;
    for (std::size_t tap = 1; tap < rows.cells.size(); ++tap) {
      span(cells_.winners(rows.cells[tap]), logits_.width, low_.data(), high_.data());
    }
    fill(rows);
    if (costs_more(rows)) {
      const auto &wide = wide_.rows(rows);
      for (std::size_t row = 0; row < rows.positions(); ++row) {
        decide_row(wide, rows, row, logits_.classes, wide_.stride(), width_, mask_ + (rows.begin + row) * width_);
      }
      return;
    }
    for (const Run *columns : doubts_) {
      load(rows, *columns);
      settle(rows, *columns, room_, mask_, width_);
    }
  }

 private:
  // Labels of the blocks without doubt; the others are gathered.
  void fill(const Run &rows) {
    doubts_.clear();
    doubtful_ = 0;
    Label *first = mask_ + rows.begin * width_;
    for (const Run &columns : columns_) {
      std::uint16_t low = low_[static_cast<std::size_t>(columns.cells[0])];
      std::uint16_t high = high_[static_cast<std::size_t>(columns.cells[0])];
      for (std::size_t tap = 1; tap < columns.cells.size(); ++tap) {
        low = std::min(low, low_[static_cast<std::size_t>(columns.cells[tap])]);
        high = std::max(high, high_[static_cast<std::size_t>(columns.cells[tap])]);
      }
      std::fill_n(first + columns.begin, columns.positions(), static_cast<Label>(low));
      if (low != high) {
        doubts_.push_back(&columns);
        doubtful_ += columns.positions();
      }
    }
    for (std::size_t row = 1; row < rows.positions(); ++row) {
      std::memcpy(first + row * width_, first, width_ * sizeof(Label));
    }
  }

  void load(const Run &rows, const Run &columns) {
    const std::size_t support = rows.cells.size() * columns.cells.size();
    room_.values.resize(logits_.classes * support);
    gather(logits_, rows, columns, room_.values.data());
    find_candidates(room_.values.data(), logits_.classes, support, room_.candidates);
  }

  // Whether settling the doubts takes longer than interpolating everything: measured nanoseconds, and the rivals in a
  // few of the blocks.
  bool costs_more(const Run &rows) {
    if (4 * doubtful_ < width_) return false;
    std::size_t rivals = 0, looked = 0;
    for (std::size_t block = 0; block < doubts_.size(); block += std::max<std::size_t>(1, doubts_.size() / 8)) {
      load(rows, *doubts_[block]);
      rivals += room_.candidates.size() - 1;
      ++looked;
    }
    const auto number = [](std::size_t count) { return static_cast<double>(count); };
    const double support = number(rows.cells.size() * columns_[columns_.size() / 2].cells.size());
    const double classes = number(logits_.classes);
    const double finding = number(doubts_.size()) * (40 + 1.0 * classes * support);
    const double settling = 1.2 * number(rivals) / number(looked) * number(doubtful_ * rows.positions());
    const double all = classes * (0.35 * number(width_ * rows.positions()) + 1.0 * number(width_));
    return finding + settling > all;
  }

  const Logits &logits_;
  const std::vector<Run> &columns_;
  std::size_t width_;
  Label *mask_;
  Cells cells_;
  Wide wide_;
  Room room_;
  std::vector<std::uint16_t> low_, high_;
  std::vector<const Run *> doubts_;
  std::size_t doubtful_ = 0;
};

// ---- Scores

// e to the power of x within 2 units in the last place, for x at most 88; float32 as NumPy computes it.
inline float exponential(float x) {
  x = std::max(x, -104.0f);
  const float turns = std::floor(x * 1.44269504f + 0.5f);
  float rest = x - turns * 0.693359375f;
  rest -= turns * -2.12194440e-4f;
  float power = 1.9875691500e-4f;
  power = power * rest + 1.3981999507e-3f;
  power = power * rest + 8.3334519073e-3f;
  power = power * rest + 4.1665795894e-2f;
  power = power * rest + 1.6666665459e-1f;
  power = power * rest + 5.0000001201e-1f;
  power = power * rest * rest + rest + 1.0f;
  // Two factors, so that results below the smallest normal number come out as such.
  const std::int32_t whole = static_cast<std::int32_t>(turns), half = whole >> 1;
  const std::int32_t bits[2] = {(half + 127) * (1 << 23), (whole - half + 127) * (1 << 23)};
  float scale[2];
  std::memcpy(scale, bits, sizeof(scale));
  return power * scale[0] * scale[1];
}

// Softmax over the classes of kChunk pixels: values (classes, kChunk), in place.
inline void softmax(float *values, std::size_t classes) {
  float most[kChunk], sum[kChunk] = {};
  std::copy_n(values, kChunk, most);
  for (std::size_t label = 1; label < classes; ++label) {
    for (std::size_t x = 0; x < kChunk; ++x) most[x] = std::max(most[x], values[label * kChunk + x]);
  }
  for (std::size_t first = 0; first < classes; first += 16) {  // few at a time, so that little is lost of small ones
    float part[kChunk] = {};
    for (std::size_t label = first; label < std::min(first + 16, classes); ++label) {
      for (std::size_t x = 0; x < kChunk; ++x) {
        values[label * kChunk + x] = exponential(values[label * kChunk + x] - most[x]);
        part[x] += values[label * kChunk + x];
      }
    }
    for (std::size_t x = 0; x < kChunk; ++x) sum[x] += part[x];
  }
  for (std::size_t label = 0; label < classes; ++label) {
    for (std::size_t x = 0; x < kChunk; ++x) values[label * kChunk + x] /= sum[x];
  }
}

SEGSHIP_CLONES void score_row(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                              std::size_t classes, std::size_t stride, std::size_t width, Activation activation, float *room,
                              float *scores, std::size_t plane) {
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += kChunk) {
    for (std::size_t label = 0; label < classes; ++label) {
      values_at(rows, weight, run.positions(), label * stride + place, room + label * kChunk);
    }
    if (activation == Activation::sigmoid) {
      for (std::size_t x = 0; x < classes * kChunk; ++x) {
        room[x] = 1.0f / (exponential(std::min(-room[x], 88.0f)) + 1.0f);
      }
    } else if (activation == Activation::softmax) {
      softmax(room, classes);
    }
    const std::size_t count = std::min(kChunk, width - place);
    for (std::size_t label = 0; label < classes; ++label) {
      std::copy_n(room + label * kChunk, count, scores + label * plane + place);
    }
  }
}

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

template <class Label>
void all_labels(const Logits &logits, const std::vector<Run> &rows, const std::vector<Run> &columns,
                const Operators &taps, std::size_t begin, std::size_t end, Label *mask) {
  const std::size_t width = taps.columns.size();
  Decision<Label> decision(logits, columns, width, mask);
  std::vector<float> values;
  for (std::size_t number = begin; number < end; ++number) {
    if (decision.is_finite(rows[number])) {
      decision.run(rows[number]);
      continue;
    }
    for (std::size_t row = rows[number].begin; row < rows[number].end; ++row) {
      exact_row(logits, taps.rows, taps.columns, row, values);
      for (std::size_t x = 0; x < width; ++x) {
        mask[row * width + x] = static_cast<Label>(first_greatest(values.data() + x, width, logits.classes));
      }
    }
  }
}

}  // namespace

Resampler::Resampler(Operators operators)
    : taps_(std::move(operators)), rows_(group(taps_.rows)), columns_(group(taps_.columns)) {}

std::size_t Resampler::ready(std::size_t cells) const {
  std::size_t run = 0;
  while (run < rows_.size() && static_cast<std::size_t>(rows_[run].cells.back()) < cells) ++run;
  return run;
}

std::size_t Resampler::lowest(std::size_t run) const {
  return run < rows_.size() ? static_cast<std::size_t>(rows_[run].cells.front()) : taps_.rows.cells;
}

void Resampler::labels(const Logits &logits, std::size_t begin, std::size_t end, void *mask) const {
  if (logits.classes <= 256) {
    all_labels(logits, rows_, columns_, taps_, begin, end, static_cast<std::uint8_t *>(mask));
  } else {
    all_labels(logits, rows_, columns_, taps_, begin, end, static_cast<std::uint16_t *>(mask));
  }
}

void Resampler::above(const Logits &logits, float cut, std::size_t begin, std::size_t end, std::uint8_t *mask) const {
  const std::size_t size = logits.rows * logits.width;
  // The only channel against a class that is the cut everywhere: the same shortcut decides between the two.
  std::vector<float> both(2 * size, cut);
  std::copy_n(logits.data, size, both.begin() + static_cast<std::ptrdiff_t>(size));
  const Logits two{both.data(), 2, logits.width, size, logits.first, logits.rows};
  Decision<std::uint8_t> decision(two, columns_, width(), mask);
  std::vector<float> values;
  for (std::size_t number = begin; number < end; ++number) {
    const Run &run = rows_[number];
    if (decision.is_finite(run)) {
      decision.run(run);
      continue;
    }
    for (std::size_t row = run.begin; row < run.end; ++row) {
      exact_row(logits, taps_.rows, taps_.columns, row, values);
      for (std::size_t x = 0; x < width(); ++x) mask[row * width() + x] = values[x] > cut ? 1 : 0;
    }
  }
}

void Resampler::scores(const Logits &logits, Activation activation, std::size_t begin, std::size_t end, float *scores) const {
  const std::size_t plane = height() * width();
  Cells cells(logits);
  Wide wide(logits, columns_, width());
  std::vector<float> values, room(logits.classes * kChunk);
  for (std::size_t number = begin; number < end; ++number) {
    const Run &run = rows_[number];
    const bool finite = cells.is_finite(run);
    for (std::size_t row = run.begin; row < run.end; ++row) {
      float *out = scores + row * width();
      if (finite) {
        score_row(wide.rows(run), run, row - run.begin, logits.classes, wide.stride(), width(), activation, room.data(),
                  out,
                  plane);
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

float logit_above(double threshold) {
  const auto sigmoid = [](float x) {
    const float power = static_cast<float>(std::exp(static_cast<double>(-x)));
    return 1.0f / (power + 1.0f);
  };
  const float level = static_cast<float>(threshold);
  if (level < 0) return -HUGE_VALF;
  if (level >= 1) return HUGE_VALF;
  float low = -200, high = 200;  // beyond, float32 sigmoid is 0 and 1
  for (;;) {
    const float middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
    if (middle == low || middle == high) return low;
    (sigmoid(middle) > level ? high : low) = middle;
  }
}

}  // namespace segship
