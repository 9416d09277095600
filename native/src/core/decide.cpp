#include "core/decide.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/clones.hpp"
#include "core/lanes.hpp"

namespace segship {

namespace {

// ---- Winners of the cells

// Argmax over the classes of one row of cells, the first of equals; false where a value is not finite.
SEGSHIP_CLONES bool winners_of_row(const Logits &logits, std::size_t cell, std::int32_t *winner) {
  bool finite = true;
  std::size_t x = 0;
  for (; x + kLanes <= logits.width; x += kLanes) {
    Floats best, value;
    Ints place{}, fine = Ints{} - 1;
    load(logits.row(0, cell) + x, best);
    fine &= best - best == 0;
    for (std::size_t label = 1; label < logits.classes; ++label) {
      load(logits.row(label, cell) + x, value);
      fine &= value - value == 0;
      const Ints leads = value > best;
      place = leads ? Ints{} + static_cast<std::int32_t>(label) : place;
      best = leads ? value : best;
    }
    std::memcpy(winner + x, &place, sizeof(place));
    for (std::size_t lane = 0; lane < kLanes; ++lane) finite = finite && fine[lane] != 0;
  }
  for (; x < logits.width; ++x) {
    float best = logits.row(0, cell)[x];
    winner[x] = 0;
    finite = finite && best - best == 0;
    for (std::size_t label = 1; label < logits.classes; ++label) {
      const float value = logits.row(label, cell)[x];
      finite = finite && value - value == 0;
      if (value > best) best = value, winner[x] = static_cast<std::int32_t>(label);
    }
  }
  return finite;
}

// ---- Blocks in doubt

// What one block is decided with; sized once.
struct Room {
  std::vector<float> values, lead, down;
  std::vector<std::int32_t> candidates;
};

// Rows of cells of all classes, each made once: those of the last run are kept, for the next one shares some.
class Lines {
 public:
  using Make = std::function<void(std::size_t cell, float *line)>;

  // `size`: floats of one row of all classes.
  Lines(std::size_t size, Make make) : size_(size), make_(std::move(make)) {}

  // The rows that a run draws on.
  const std::vector<const float *> &of(const Run &run) {
    if (run.begin == at_ && !found_.empty()) return found_;
    at_ = run.begin;
    std::vector<Line> kept;
    for (const std::int32_t cell : run.cells) {
      const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Line &line) { return line.cell == cell; });
      if (found == kept_.end()) {
        kept.push_back({cell, {}});
      } else {
        kept.push_back(std::move(*found));
        kept_.erase(found);
      }
    }
    for (Line &line : kept) {
      if (!line.values.empty()) continue;
      if (!kept_.empty()) {  // room of a row that nobody needs any more
        line.values = std::move(kept_.back().values);
        kept_.pop_back();
      }
      line.values.resize(size_);
      make_(static_cast<std::size_t>(line.cell), line.values.data());
    }
    kept_ = std::move(kept);
    found_.clear();
    for (const Line &line : kept_) found_.push_back(line.values.data());
    return found_;
  }

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

// The classes that may win in a block, from their values (classes, support): ascending.
void find_candidates(const float *values, std::size_t classes, std::size_t support, std::vector<std::int32_t> &found) {
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
    if (most >= floor) found.push_back(static_cast<std::int32_t>(label));
  }
}

// The values of a block: (classes, rows of cells, columns of cells).
void gather(const std::vector<const float *> &lines, std::size_t classes, std::size_t width, const Run &columns,
            float *values) {
  for (std::size_t label = 0; label < classes; ++label) {
    for (const float *line : lines) {
      for (const std::int32_t column : columns.cells) *values++ = line[label * width + static_cast<std::size_t>(column)];
    }
  }
}

// One line of cells to eight positions of a run.
inline void spread(const float *values, const Run &run, std::size_t position, Few &out) {
  const std::size_t cells = run.cells.size();
  out = Few{} + values[0];
  if (cells == 1) return;
  Few weight;
  load(run.weight.data() + position, weight);
  out = weight * (values[1] - values[0]);
  for (std::size_t tap = 1; tap + 1 < cells; ++tap) {
    load(run.weight.data() + tap * run.stride + position, weight);
    out += weight * (values[tap + 1] - values[0]);
  }
  out += values[0];
}

// The lead of each candidate over the first one, in every row of a block: (candidates - 1, rows, columns of cells).
inline void lead_down(const Run &rows, std::size_t across, Room &room) {
  const std::size_t count = rows.cells.size(), support = count * across;
  room.lead.resize(support);
  room.down.resize((room.candidates.size() - 1) * rows.positions() * across);
  const float *base = room.values.data() + static_cast<std::size_t>(room.candidates[0]) * support;
  float *down = room.down.data(), *lead = room.lead.data();
  for (std::size_t rank = 1; rank < room.candidates.size(); ++rank) {
    const float *values = room.values.data() + static_cast<std::size_t>(room.candidates[rank]) * support;
    for (std::size_t cell = 0; cell < support; ++cell) lead[cell] = values[cell] - base[cell];
    for (std::size_t row = 0; row < rows.positions(); ++row) {
      for (std::size_t column = 0; column < across; ++column) {
        const float first = lead[column];
        float value = count == 1 ? first : rows.weight[row] * (lead[across + column] - first);
        for (std::size_t tap = 1; tap + 1 < count; ++tap) {
          value += rows.weight[tap * rows.stride + row] * (lead[(tap + 1) * across + column] - first);
        }
        *down++ = count == 1 ? value : value + first;
      }
    }
  }
}

// Decide every pixel of a block. What is interpolated is each candidate's lead over the first one.
template <class Label>
SEGSHIP_CLONES void settle(const Run &rows, const Run &columns, Room &room, Label *mask, std::size_t width) {
  const std::size_t across = columns.cells.size(), step = rows.positions() * across;
  lead_down(rows, across, room);
  for (std::size_t row = 0; row < rows.positions(); ++row) {
    Label *out = mask + (rows.begin + row) * width + columns.begin;
    for (std::size_t place = 0; place < columns.positions(); place += kFew) {
      Few best{}, value;
      FewInts winner = FewInts{} + room.candidates[0];
      const float *down = room.down.data() + row * across;
      for (std::size_t rank = 1; rank < room.candidates.size(); ++rank, down += step) {
        spread(down, columns, place, value);
        const FewInts leads = value > best;
        winner = leads ? FewInts{} + room.candidates[rank] : winner;
        best = leads ? value : best;
      }
      typedef Label Labels __attribute__((vector_size(kFew * sizeof(Label))));
      const Labels narrow = __builtin_convertvector(winner, Labels);
      std::memcpy(out + place, &narrow, std::min(kFew, columns.positions() - place) * sizeof(Label));
    }
  }
}

// ---- Everything in doubt

// Floats of one class in a row at the width of the image; eight at a time may be written beyond a run.
std::size_t wide_stride(std::size_t width) { return (width + kLanes - 1) / kLanes * kLanes + kFew; }

// One row of cells of every class at the width of the image: (classes, stride).
SEGSHIP_CLONES void widen(const Logits &logits, std::size_t cell, const std::vector<Run> &columns, std::size_t stride,
                          float *out) {
  std::vector<float> cells;
  for (std::size_t label = 0; label < logits.classes; ++label) {
    const float *row = logits.row(label, cell);
    for (const Run &run : columns) {
      cells.resize(run.cells.size());
      for (std::size_t tap = 0; tap < cells.size(); ++tap) cells[tap] = row[run.cells[tap]];
      for (std::size_t place = 0; place < run.positions(); place += kFew) {
        Few value;
        spread(cells.data(), run, place, value);
        std::memcpy(out + label * stride + run.begin + place, &value, sizeof(value));
      }
    }
  }
}

Lines wide_lines(const Logits &logits, const std::vector<Run> &columns, std::size_t width) {
  const std::size_t stride = wide_stride(width);
  return {logits.classes * stride,
          [&logits, &columns, stride](std::size_t cell, float *line) { widen(logits, cell, columns, stride, line); }};
}

// Rows of cells as they are, all classes beside one another: planes that lie a power of two apart fight for the same
// places in the cache.
Lines near_lines(const Logits &logits) {
  return {logits.classes * logits.width, [&logits](std::size_t cell, float *line) {
            for (std::size_t label = 0; label < logits.classes; ++label) {
              std::copy_n(logits.row(label, cell), logits.width, line + label * logits.width);
            }
          }};
}

// A class's values at kLanes pixels of one row of the image.
inline void values_at(const std::vector<const float *> &rows, const float *weight, std::size_t step, std::size_t place,
                      Floats &out) {
  Floats first, next;
  load(rows[0] + place, first);
  out = first;
  if (rows.size() == 1) return;
  load(rows[1] + place, next);
  out = (next - first) * weight[0];
  for (std::size_t tap = 1; tap + 1 < rows.size(); ++tap) {
    load(rows[tap + 1] + place, next);
    out += (next - first) * weight[tap * step];
  }
  out += first;
}

template <class Label>
SEGSHIP_CLONES void decide_row(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                               std::size_t classes, std::size_t stride, std::size_t width, Label *mask) {
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += kLanes) {
    Floats best, value;
    Ints winner{};
    values_at(rows, weight, run.stride, place, best);
    for (std::size_t label = 1; label < classes; ++label) {
      values_at(rows, weight, run.stride, label * stride + place, value);
      const Ints leads = value > best;
      winner = leads ? Ints{} + static_cast<std::int32_t>(label) : winner;
      best = leads ? value : best;
    }
    const std::size_t count = std::min(kLanes, width - place);
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
  explicit Cells(const Logits &logits) : logits_(logits), winner_(logits.rows * logits.width), state_(logits.rows) {}

  const std::int32_t *winners(std::int32_t cell) {
    const std::size_t row = static_cast<std::size_t>(cell) - logits_.first;
    std::int32_t *winner = winner_.data() + row * logits_.width;
    if (state_[row] == 0) state_[row] = winners_of_row(logits_, static_cast<std::size_t>(cell), winner) ? 1 : 2;
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
  std::vector<std::int32_t> winner_;
  std::vector<std::uint8_t> state_;
};

// Least and greatest winner of the cells of a run, in every column of cells.
SEGSHIP_CLONES void span(const std::int32_t *__restrict winners, std::size_t width, std::int32_t *__restrict low,
                         std::int32_t *__restrict high) {
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
      : logits_(logits), columns_(columns), width_(width), mask_(mask), cells_(logits),
        near_(near_lines(logits)), wide_(wide_lines(logits, columns, width)) {}

  bool is_finite(const Run &rows) { return cells_.is_finite(rows); }

  void run(const Run &rows) {
    const std::int32_t *winners = cells_.winners(rows.cells[0]);
    low_.assign(winners, winners + logits_.width);
    high_ = low_;
    for (std::size_t tap = 1; tap < rows.cells.size(); ++tap) {
      span(cells_.winners(rows.cells[tap]), logits_.width, low_.data(), high_.data());
    }
    fill(rows);
    if (costs_more(rows)) {
      const auto &wide = wide_.of(rows);
      for (std::size_t row = 0; row < rows.positions(); ++row) {
        decide_row(wide, rows, row, logits_.classes, wide_stride(width_), width_, mask_ + (rows.begin + row) * width_);
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
      std::int32_t low = low_[static_cast<std::size_t>(columns.cells[0])];
      std::int32_t high = high_[static_cast<std::size_t>(columns.cells[0])];
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
    gather(near_.of(rows), logits_.classes, logits_.width, columns, room_.values.data());
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
    const double finding = number(doubts_.size()) * (40 + 0.7 * classes * support);
    const double settling = 0.5 * number(rivals) / number(looked) * number(doubtful_ * rows.positions());
    const double all = classes * (0.3 * number(width_ * rows.positions()) + 1.0 * number(width_));
    return finding + settling > all;
  }

  const Logits &logits_;
  const std::vector<Run> &columns_;
  std::size_t width_;
  Label *mask_;
  Cells cells_;
  Lines near_, wide_;
  Room room_;
  std::vector<std::int32_t> low_, high_;
  std::vector<const Run *> doubts_;
  std::size_t doubtful_ = 0;
};

// ---- Scores

// Softmax over the classes of kLanes pixels: values (classes, kLanes), in place.
inline void softmax(float *values, std::size_t classes) {
  Floats most, sum{}, value;
  load(values, most);
  for (std::size_t label = 1; label < classes; ++label) {
    load(values + label * kLanes, value);
    most = value > most ? value : most;
  }
  for (std::size_t first = 0; first < classes; first += 16) {  // few at a time, so that little is lost of small ones
    Floats part{};
    for (std::size_t label = first; label < std::min(first + 16, classes); ++label) {
      load(values + label * kLanes, value);
      value -= most;
      exponential(value);
      store(value, values + label * kLanes);
      part += value;
    }
    sum += part;
  }
  for (std::size_t label = 0; label < classes; ++label) {
    load(values + label * kLanes, value);
    value /= sum;
    store(value, values + label * kLanes);
  }
}

inline void sigmoid(float *values, std::size_t classes) {
  for (std::size_t label = 0; label < classes; ++label) {
    Floats value;
    const Floats most = Floats{} + 88.0f;
    load(values + label * kLanes, value);
    value = -value < most ? -value : most;
    exponential(value);
    value = 1.0f / (value + 1.0f);
    store(value, values + label * kLanes);
  }
}

SEGSHIP_CLONES void score_row(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                              std::size_t classes, std::size_t stride, std::size_t width, Activation activation,
                              float *room, float *scores, std::size_t plane) {
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += kLanes) {
    for (std::size_t label = 0; label < classes; ++label) {
      Floats value;
      values_at(rows, weight, run.stride, label * stride + place, value);
      store(value, room + label * kLanes);
    }
    if (activation == Activation::sigmoid) sigmoid(room, classes);
    if (activation == Activation::softmax) softmax(room, classes);
    const std::size_t count = std::min(kLanes, width - place);
    for (std::size_t label = 0; label < classes; ++label) {
      std::memcpy(scores + label * plane + place, room + label * kLanes, count * sizeof(float));
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
  Lines wide = wide_lines(logits, columns_, width());
  std::vector<float> values, room(logits.classes * kLanes);
  for (std::size_t number = begin; number < end; ++number) {
    const Run &run = rows_[number];
    const bool finite = cells.is_finite(run);
    for (std::size_t row = run.begin; row < run.end; ++row) {
      float *out = scores + row * width();
      if (finite) {
        score_row(wide.of(run), run, row - run.begin, logits.classes, wide_stride(width()), width(), activation, room.data(),
                  out, plane);
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
