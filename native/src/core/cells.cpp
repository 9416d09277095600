#include "core/cells.hpp"

#include <algorithm>
#include <cstring>

#include "core/clones.hpp"
#include "core/lanes.hpp"

namespace segship {

namespace {

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

}  // namespace

const std::vector<const float *> &Lines::of(const Run &run) {
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

Cells::Cells(const Logits &logits)
    : logits_(logits), winner_(logits.rows * logits.width), finite_(logits.rows),
      // What finds chances looks beyond the last column.
      lines_(logits.classes * logits.width + 2 * kLanes, [this](std::size_t cell, float *line) { make(cell, line); }) {}

bool Cells::is_finite(const Run &run) {
  lines(run);
  return std::all_of(run.cells.begin(), run.cells.end(), [this](std::int32_t cell) { return finite_[row_of(cell)]; });
}

// All classes beside one another: planes that lie a power of two apart fight for the same places in the cache.
void Cells::make(std::size_t cell, float *line) {
  for (std::size_t label = 0; label < logits_.classes; ++label) {
    std::copy_n(logits_.row(label, cell), logits_.width, line + label * logits_.width);
  }
  const std::size_t row = cell - logits_.first;
  finite_[row] = winners_of_row(line, logits_.classes, logits_.width, winner_.data() + row * logits_.width);
}

}  // namespace segship
