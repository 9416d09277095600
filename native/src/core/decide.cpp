#include "core/decide.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/blocks.hpp"
#include "core/cells.hpp"
#include "core/clones.hpp"
#include "core/exact.hpp"
#include "core/lanes.hpp"
#include "core/wide.hpp"

namespace segship {

namespace {

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
        decide_row(wide, rows, row, logits_.classes, width_, mask_ + (rows.begin + row) * width_);
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
