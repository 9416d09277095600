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

// Argmax over the classes (classes, width) of one row of cells, the first of equals; false where a value is not finite.
template <std::size_t lanes>
SEGSHIP_INLINE bool winners_of_row_by(const float *line, std::size_t classes, std::size_t width, std::int32_t *winner) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  bool finite = true;
  std::size_t x = 0;
  for (; x + lanes <= width; x += lanes) {
    Floats best, value;
    Ints place{}, fine = Ints{} - 1;
    load(line + x, best);
    fine &= best - best == 0;
    for (std::size_t label = 1; label < classes; ++label) {
      load(line + label * width + x, value);
      fine &= value - value == 0;
      const Ints leads = value > best;
      place = leads ? Ints{} + static_cast<std::int32_t>(label) : place;
      best = leads ? value : best;
    }
    std::memcpy(winner + x, &place, sizeof(place));
    for (std::size_t lane = 0; lane < lanes; ++lane) finite = finite && fine[lane] != 0;
  }
  for (; x < width; ++x) {
    float best = line[x];
    winner[x] = 0;
    finite = finite && best - best == 0;
    for (std::size_t label = 1; label < classes; ++label) {
      const float value = line[label * width + x];
      finite = finite && value - value == 0;
      if (value > best) best = value, winner[x] = static_cast<std::int32_t>(label);
    }
  }
  return finite;
}
SEGSHIP_LEVELS(winners_of_row,
                 (const float *line, std::size_t classes, std::size_t width, std::int32_t *winner),
                 (line, classes, width, winner))

// ---- Blocks in doubt

// What blocks are decided with; sized once.
struct Room {
  std::vector<float> lead, down;
  std::vector<bool> wanted;
  std::vector<std::uint32_t> chances;     // (classes / 32, width): a bit for each class that may win
  std::vector<std::int32_t> candidates;   // of all blocks, ascending within one
  std::vector<std::size_t> ends;          // where the candidates of a block end
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

// The classes that may win in blocks of `across` neighbouring columns of cells, for all columns at once: a bit for each
// class in `chances` (classes / 32, stride). A class that is nowhere above what another is everywhere cannot win.
// `wanted`: whether kLanes columns matter.
template <std::size_t lanes>
SEGSHIP_INLINE void find_chances_by(const std::vector<const float *> &lines, std::size_t classes, std::size_t width,
                                    std::size_t across, const std::vector<bool> &wanted, std::uint32_t *chances) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  const std::size_t stride = wanted.size() * kLanes;
  for (std::size_t x = 0; x < stride; x += lanes) {
    if (!wanted[x / kLanes]) continue;
    Floats floor = Floats{} - HUGE_VALF, value;
    for (std::size_t label = 0; label < classes; ++label) {
      Floats least = Floats{} + HUGE_VALF;
      for (const float *line : lines) {
        for (std::size_t column = 0; column < across; ++column) {
          load(line + label * width + x + column, value);
          least = value < least ? value : least;
        }
      }
      floor = least > floor ? least : floor;
    }
    for (std::size_t first = 0; first < classes; first += 32) {
      Ints found{};
      for (std::size_t label = first; label < std::min(first + 32, classes); ++label) {
        Floats most = Floats{} - HUGE_VALF;
        for (const float *line : lines) {
          for (std::size_t column = 0; column < across; ++column) {
            load(line + label * width + x + column, value);
            most = value > most ? value : most;
          }
        }
        const Ints reaches = most >= floor;
        found |= reaches & static_cast<std::int32_t>(1U << (label - first));
      }
      std::memcpy(chances + first / 32 * stride + x, &found, sizeof(found));
    }
  }
}
SEGSHIP_LEVELS(find_chances,
                 (const std::vector<const float *> &lines, std::size_t classes, std::size_t width, std::size_t across,
                  const std::vector<bool> &wanted, std::uint32_t *chances),
                 (lines, classes, width, across, wanted, chances))

// The same for one block of any columns: appended to `found`.
void find_candidates(const std::vector<const float *> &lines, std::size_t classes, std::size_t width,
                     const Run &columns, std::vector<std::int32_t> &found) {
  const auto extreme = [&](std::size_t label, auto &&better) {
    float value = lines[0][label * width + static_cast<std::size_t>(columns.cells[0])];
    for (const float *line : lines) {
      for (const std::int32_t column : columns.cells) {
        const float other = line[label * width + static_cast<std::size_t>(column)];
        if (better(other, value)) value = other;
      }
    }
    return value;
  };
  float floor = -HUGE_VALF;
  for (std::size_t label = 0; label < classes; ++label) floor = std::max(floor, extreme(label, std::less<float>()));
  for (std::size_t label = 0; label < classes; ++label) {
    if (extreme(label, std::greater<float>()) >= floor) found.push_back(static_cast<std::int32_t>(label));
  }
}

// Values of cells, `step` floats apart, to eight positions of a run.
inline void spread(const float *values, std::size_t step, const Run &run, std::size_t position, Few &out) {
  const std::size_t cells = run.cells.size();
  out = Few{} + values[0];
  if (cells == 1) return;
  Few weight;
  load(run.weight.data() + position, weight);
  out = weight * (values[step] - values[0]);
  for (std::size_t tap = 1; tap + 1 < cells; ++tap) {
    load(run.weight.data() + tap * run.stride + position, weight);
    out += weight * (values[(tap + 1) * step] - values[0]);
  }
  out += values[0];
}

// The lead of each candidate over the first one, at every row of a block: (candidates - 1, columns of cells, rows).
inline void lead_down(const std::vector<const float *> &lines, std::size_t width, const Run &rows, const Run &columns,
                      const std::int32_t *candidates, std::size_t count, Room &room) {
  room.lead.resize(lines.size());
  room.down.resize((count - 1) * columns.cells.size() * rows.stride);
  float *down = room.down.data(), *lead = room.lead.data();
  for (std::size_t rank = 1; rank < count; ++rank) {
    const std::size_t own = static_cast<std::size_t>(candidates[rank]) * width;
    const std::size_t base = static_cast<std::size_t>(candidates[0]) * width;
    for (const std::int32_t cell : columns.cells) {
      const auto column = static_cast<std::size_t>(cell);
      for (std::size_t line = 0; line < lines.size(); ++line) {
        lead[line] = lines[line][own + column] - lines[line][base + column];
      }
      for (std::size_t row = 0; row < rows.stride; row += kFew, down += kFew) {
        Few value;
        spread(lead, 1, rows, row, value);
        std::memcpy(down, &value, sizeof(value));
      }
    }
  }
}

// Decide every pixel of a block. What is interpolated is each candidate's lead over the first one.
template <class Label>
SEGSHIP_CLONES void settle(const std::vector<const float *> &lines, std::size_t cells, const Run &rows,
                           const Run &columns, const std::int32_t *candidates, std::size_t count, Room &room,
                           Label *mask, std::size_t width) {
  typedef Label Labels __attribute__((vector_size(kFew * sizeof(Label))));
  lead_down(lines, cells, rows, columns, candidates, count, room);
  const std::size_t step = rows.stride * columns.cells.size();
  for (std::size_t row = 0; row < rows.positions(); ++row) {
    Label *out = mask + (rows.begin + row) * width + columns.begin;
    for (std::size_t place = 0; place < columns.positions(); place += kFew) {
      Few best{}, value;
      FewInts winner = FewInts{} + candidates[0];
      const float *down = room.down.data() + row;
      for (std::size_t rank = 1; rank < count; ++rank, down += step) {
        spread(down, rows.stride, columns, place, value);
        const FewInts leads = value > best;
        winner = leads ? FewInts{} + candidates[rank] : winner;
        best = leads ? value : best;
      }
      const Labels narrow = __builtin_convertvector(winner, Labels);
      if (place + kFew <= columns.positions()) {  // of a length that the compiler knows: one store
        std::memcpy(out + place, &narrow, sizeof(narrow));
      } else {
        std::memcpy(out + place, &narrow, (columns.positions() - place) * sizeof(Label));
      }
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
        spread(cells.data(), 1, run, place, value);
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

// A class's values at some pixels of one row of the image.
template <class Vector>
inline void values_at(const std::vector<const float *> &rows, const float *weight, std::size_t step, std::size_t place,
                      Vector &out) {
  Vector first, next;
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

template <std::size_t lanes, class Label>
SEGSHIP_INLINE void decide_row_by(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                                  std::size_t classes, std::size_t stride, std::size_t width, Label *mask) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += lanes) {
    Floats best, value;
    Ints winner{};
    values_at(rows, weight, run.stride, place, best);
    for (std::size_t label = 1; label < classes; ++label) {
      values_at(rows, weight, run.stride, label * stride + place, value);
      const Ints leads = value > best;
      winner = leads ? Ints{} + static_cast<std::int32_t>(label) : winner;
      best = leads ? value : best;
    }
    const std::size_t count = std::min(lanes, width - place);
    for (std::size_t x = 0; x < count; ++x) mask[place + x] = static_cast<Label>(winner[x]);
  }
}
SEGSHIP_LEVELS(decide_row,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, std::uint8_t *mask),
                 (rows, run, row, classes, stride, width, mask))
SEGSHIP_LEVELS(decide_row,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, std::uint16_t *mask),
                 (rows, run, row, classes, stride, width, mask))

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

// What the cells of the rows say: their values, who wins, and whether all are finite. Made as rows are needed.
class Cells {
 public:
  explicit Cells(const Logits &logits)
      : logits_(logits), winner_(logits.rows * logits.width), finite_(logits.rows),
        // What finds chances looks beyond the last column.
        lines_(logits.classes * logits.width + 2 * kLanes, [this](std::size_t cell, float *line) { make(cell, line); }) {}
  Cells(const Cells &) = delete;
  Cells &operator=(const Cells &) = delete;

  // The rows of cells that a run draws on, each (classes, width).
  const std::vector<const float *> &lines(const Run &run) { return lines_.of(run); }

  // Of a row whose line was made.
  const std::int32_t *winners(std::int32_t cell) const { return winner_.data() + row_of(cell) * logits_.width; }

  bool is_finite(const Run &run) {
    lines(run);
    return std::all_of(run.cells.begin(), run.cells.end(), [this](std::int32_t cell) { return finite_[row_of(cell)]; });
  }

 private:
  std::size_t row_of(std::int32_t cell) const { return static_cast<std::size_t>(cell) - logits_.first; }

  // All classes beside one another: planes that lie a power of two apart fight for the same places in the cache.
  void make(std::size_t cell, float *line) {
    for (std::size_t label = 0; label < logits_.classes; ++label) {
      std::copy_n(logits_.row(label, cell), logits_.width, line + label * logits_.width);
    }
    const std::size_t row = cell - logits_.first;
    finite_[row] = winners_of_row(line, logits_.classes, logits_.width, winner_.data() + row * logits_.width);
  }

  const Logits &logits_;
  std::vector<std::int32_t> winner_;
  std::vector<bool> finite_;
  Lines lines_;
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
      : logits_(logits), blocks_(blocks_of(columns)), width_(width), mask_(mask), cells_(logits),
        wide_(wide_lines(logits, columns, width)) {}

  bool is_finite(const Run &rows) { return cells_.is_finite(rows); }

  void run(const Run &rows) {
    const std::int32_t *winners = cells_.winners(rows.cells[0]);
    low_.assign(winners, winners + logits_.width);
    high_ = low_;
    for (std::size_t tap = 1; tap < rows.cells.size(); ++tap) {
      span(cells_.winners(rows.cells[tap]), logits_.width, low_.data(), high_.data());
    }
    fill(rows);
    if (doubts_.empty()) return;
    const auto &lines = cells_.lines(rows);
    find(lines);
    if (costs_more(rows)) {
      const auto &wide = wide_.of(rows);
      for (std::size_t row = 0; row < rows.positions(); ++row) {
        decide_row(wide, rows, row, logits_.classes, wide_stride(width_), width_, mask_ + (rows.begin + row) * width_);
      }
      return;
    }
    std::size_t begin = 0;
    for (std::size_t block = 0; block < doubts_.size(); begin = room_.ends[block++]) {
      settle(lines, logits_.width, rows, *doubts_[block]->run, room_.candidates.data() + begin, room_.ends[block] - begin,
             room_, mask_, width_);
    }
  }

 private:
  // Columns of the image that draw on the same columns of cells.
  struct Block {
    const Run *run;
    std::size_t begin, first;
    std::size_t across;  // neighbouring columns of cells; 0: others lie between them
  };

  static std::vector<Block> blocks_of(const std::vector<Run> &columns) {
    std::vector<Block> blocks;
    for (const Run &run : columns) {
      const auto first = static_cast<std::size_t>(run.cells.front()), last = static_cast<std::size_t>(run.cells.back());
      const bool solid = last - first + 1 == run.cells.size() && run.cells.size() <= kLanes;
      blocks.push_back({&run, run.begin, first, solid ? run.cells.size() : 0});
    }
    return blocks;
  }

  bool is_mixed(const Block &block) const {
    const std::int32_t *low = low_.data(), *high = high_.data();
    if (block.across == 2) {  // by far the most
      const std::size_t first = block.first;
      return std::min(low[first], low[first + 1]) != std::max(high[first], high[first + 1]);
    }
    const std::int32_t winner = low[block.first];
    return std::any_of(block.run->cells.begin(), block.run->cells.end(), [=](std::int32_t cell) {
      return low[static_cast<std::size_t>(cell)] != winner || high[static_cast<std::size_t>(cell)] != winner;
    });
  }

  // Labels of the blocks without doubt; the others are gathered.
  void fill(const Run &rows) {
    doubts_.clear();
    doubtful_ = 0;
    Label *first = mask_ + rows.begin * width_;
    std::size_t begin = 0;  // of neighbours with the same label
    std::int32_t label = 0;
    for (const Block &block : blocks_) {
      if (is_mixed(block)) {
        doubts_.push_back(&block);
        doubtful_ += block.run->positions();
      } else if (const std::int32_t winner = low_[block.first]; winner != label) {
        std::fill(first + begin, first + block.begin, static_cast<Label>(label));
        begin = block.begin;
        label = winner;
      }
    }
    std::fill(first + begin, first + width_, static_cast<Label>(label));
    for (std::size_t row = 1; row < rows.positions(); ++row) {
      std::memcpy(first + row * width_, first, width_ * sizeof(Label));
    }
  }

  // The candidates of the blocks in doubt.
  void find(const std::vector<const float *> &lines) {
    room_.wanted.assign((logits_.width + kLanes - 1) / kLanes, false);
    for (const Block *block : doubts_) room_.wanted[block->first / kLanes] = true;
    const std::size_t stride = room_.wanted.size() * kLanes;
    room_.chances.resize((logits_.classes + 31) / 32 * stride);
    room_.candidates.clear();
    room_.ends.clear();
    std::size_t known = 0;  // columns of a block that the chances are of
    for (const Block *block : doubts_) {
      if (block->across == 0) {
        find_candidates(lines, logits_.classes, logits_.width, *block->run, room_.candidates);
      } else {
        if (block->across != known) {
          known = block->across;
          find_chances(lines, logits_.classes, logits_.width, known, room_.wanted, room_.chances.data());
        }
        append(room_.chances.data() + block->first, stride);
      }
      room_.ends.push_back(room_.candidates.size());
    }
  }

  void append(const std::uint32_t *chances, std::size_t stride) {
    for (std::size_t label = 0; label < logits_.classes; label += 32, chances += stride) {
      for (std::uint32_t left = *chances; left != 0; left &= left - 1) {
        room_.candidates.push_back(static_cast<std::int32_t>(label) + __builtin_ctz(left));
      }
    }
  }

  // Whether settling the doubts takes longer than interpolating everything: measured nanoseconds.
  bool costs_more(const Run &rows) {
    if (4 * doubtful_ < width_) return false;
    const auto number = [](std::size_t count) { return static_cast<double>(count); };
    const double rivals = number(room_.candidates.size() - doubts_.size()) / number(doubts_.size());
    const double settling = 0.5 * rivals * number(doubtful_ * rows.positions()) + 30 * number(doubts_.size());
    const double all = number(logits_.classes) * (0.25 * number(width_ * rows.positions()) + 0.3 * number(width_));
    return settling > all;
  }

  const Logits &logits_;
  std::vector<Block> blocks_;
  std::size_t width_;
  Label *mask_;
  Cells cells_;
  Lines wide_;
  Room room_;
  std::vector<std::int32_t> low_, high_;
  std::vector<const Block *> doubts_;
  std::size_t doubtful_ = 0;
};

// ---- Scores

// Softmax over the classes of some pixels: values (classes, lanes), in place.
template <std::size_t lanes>
inline void softmax(float *values, std::size_t classes) {
  using Floats = typename Wide<lanes>::Floats;
  Floats most, sum{}, value;
  load(values, most);
  for (std::size_t label = 1; label < classes; ++label) {
    load(values + label * lanes, value);
    most = value > most ? value : most;
  }
  for (std::size_t first = 0; first < classes; first += 16) {  // few at a time, so that little is lost of small ones
    Floats part{};
    for (std::size_t label = first; label < std::min(first + 16, classes); ++label) {
      load(values + label * lanes, value);
      value -= most;
      exponential<lanes>(value);
      store(value, values + label * lanes);
      part += value;
    }
    sum += part;
  }
  for (std::size_t label = 0; label < classes; ++label) {
    load(values + label * lanes, value);
    value /= sum;
    store(value, values + label * lanes);
  }
}

template <std::size_t lanes>
inline void sigmoid(float *values, std::size_t classes) {
  using Floats = typename Wide<lanes>::Floats;
  for (std::size_t label = 0; label < classes; ++label) {
    Floats value;
    const Floats most = Floats{} + 88.0f;
    load(values + label * lanes, value);
    value = -value < most ? -value : most;
    exponential<lanes>(value);
    value = 1.0f / (value + 1.0f);
    store(value, values + label * lanes);
  }
}

template <std::size_t lanes>
SEGSHIP_INLINE void score_row_by(const std::vector<const float *> &rows, const Run &run, std::size_t row,
                                 std::size_t classes, std::size_t stride, std::size_t width, Activation activation,
                                 float *room, float *scores, std::size_t plane) {
  using Floats = typename Wide<lanes>::Floats;
  const float *weight = run.weight.data() + row;
  for (std::size_t place = 0; place < width; place += lanes) {
    for (std::size_t label = 0; label < classes; ++label) {
      Floats value;
      values_at(rows, weight, run.stride, label * stride + place, value);
      store(value, room + label * lanes);
    }
    if (activation == Activation::sigmoid) sigmoid<lanes>(room, classes);
    if (activation == Activation::softmax) softmax<lanes>(room, classes);
    const std::size_t count = std::min(lanes, width - place);
    for (std::size_t label = 0; label < classes; ++label) {
      std::memcpy(scores + label * plane + place, room + label * lanes, count * sizeof(float));
    }
  }
}
SEGSHIP_LEVELS(score_row,
                 (const std::vector<const float *> &rows, const Run &run, std::size_t row, std::size_t classes,
                  std::size_t stride, std::size_t width, Activation activation, float *room, float *scores,
                  std::size_t plane),
                 (rows, run, row, classes, stride, width, activation, room, scores, plane))

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
