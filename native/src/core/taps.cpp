#include "core/taps.hpp"

#include <algorithm>
#include <cmath>

namespace segship {

namespace {

constexpr std::size_t kLongest = 64;  // positions of a run; bounds the memory of one block

// Taps of positions in any order, before they are sorted and joined.
struct Loose {
  std::size_t width;
  std::vector<std::int32_t> index;
  std::vector<double> weight;
};

// Sort taps, add up those on the same cell and drop those that weigh nothing.
Taps merge(const Loose &loose, std::size_t cells) {
  const std::size_t positions = loose.index.size() / loose.width, width = loose.width;
  std::vector<std::int32_t> index(positions * width);
  std::vector<double> weight(positions * width);
  std::vector<std::size_t> order(width);
  std::vector<std::int32_t> cell(width);
  std::size_t widest = 1;
  for (std::size_t position = 0; position < positions; ++position) {
    const std::int32_t *from = &loose.index[position * width];
    const double *share = &loose.weight[position * width];
    const std::int32_t heaviest = from[std::max_element(share, share + width) - share];
    for (std::size_t tap = 0; tap < width; ++tap) cell[tap] = share[tap] > 0 ? from[tap] : heaviest;
    for (std::size_t tap = 0; tap < width; ++tap) {  // sorted as they come: they are few, and of equals the first stays
      std::size_t place = tap;
      for (; place > 0 && cell[order[place - 1]] > cell[tap]; --place) order[place] = order[place - 1];
      order[place] = tap;
    }
    std::int32_t *to = &index[position * width];
    double *sum = &weight[position * width];
    std::size_t filled = 0;
    for (const std::size_t tap : order) {
      if (filled == 0 || to[filled - 1] != cell[tap]) to[filled++] = cell[tap];
      sum[filled - 1] += share[tap];
    }
    for (std::size_t tap = filled; tap < width; ++tap) to[tap] = to[filled - 1];
    widest = std::max(widest, filled);
  }
  Taps taps;
  taps.width = widest;
  taps.cells = cells;
  taps.index.resize(positions * widest);
  taps.weight.resize(positions * widest);
  for (std::size_t position = 0; position < positions; ++position) {
    for (std::size_t tap = 0; tap < widest; ++tap) {
      taps.index[position * widest + tap] = index[position * width + tap];
      taps.weight[position * widest + tap] = static_cast<float>(weight[position * width + tap]);
    }
  }
  return taps;
}

// Each position is the mean of the windows that cover it.
Taps average(const std::vector<std::int64_t> &starts, std::size_t length, const Taps &resize) {
  std::vector<std::size_t> count(length), filled(length);
  for (const std::int64_t start : starts) {
    for (std::size_t position = 0; position < resize.size(); ++position) {
      ++count[static_cast<std::size_t>(start) + position];
    }
  }
  const std::size_t width = *std::max_element(count.begin(), count.end()) * resize.width;
  Loose loose{width, std::vector<std::int32_t>(length * width), std::vector<double>(length * width)};
  for (std::size_t number = 0; number < starts.size(); ++number) {
    for (std::size_t position = 0; position < resize.size(); ++position) {
      const std::size_t covered = static_cast<std::size_t>(starts[number]) + position;
      for (std::size_t tap = 0; tap < resize.width; ++tap) {
        const std::size_t slot = covered * width + filled[covered] * resize.width + tap;
        const std::size_t from = position * resize.width + tap;
        loose.index[slot] = resize.index[from] + static_cast<std::int32_t>(number * resize.cells);
        loose.weight[slot] = static_cast<double>(resize.weight[from]) / static_cast<double>(count[covered]);
      }
      ++filled[covered];
    }
  }
  return merge(loose, starts.size() * resize.cells);
}

bool same_cells(const Taps &taps, std::size_t one, std::size_t other) {
  return std::equal(&taps.index[one * taps.width], &taps.index[one * taps.width] + taps.width,
                    &taps.index[other * taps.width]);
}

// Whether a position draws on cells without a gap.
bool is_solid(const Taps &taps, std::size_t position) {
  const std::int32_t *cells = &taps.index[position * taps.width];
  for (std::size_t tap = 1; tap < taps.width; ++tap) {
    if (cells[tap] - cells[tap - 1] > 1) return false;
  }
  return true;
}

// First position of each run. Composed resizes alternate between long runs on two cells and short ones on three; a
// short run is joined to the long one before it, which saves more blocks than its third cell costs.
std::vector<std::size_t> cut(const Taps &taps) {
  const std::size_t positions = taps.size(), width = taps.width;
  const std::size_t longest = std::min((positions + taps.cells - 1) / taps.cells + 1, kLongest);
  const auto low = [&](std::size_t position) { return taps.index[position * width]; };
  const auto high = [&](std::size_t position) { return taps.index[position * width + width - 1]; };
  std::vector<std::size_t> starts{0};
  for (std::size_t position = 1; position < positions; ++position) {
    if (!same_cells(taps, position - 1, position)) starts.push_back(position);
  }
  std::vector<std::size_t> kept;
  for (std::size_t run = 0; run < starts.size(); ++run) {
    const std::size_t start = starts[run], end = run + 1 < starts.size() ? starts[run + 1] : positions;
    const bool fits = !kept.empty() && end - kept.back() <= longest &&
                      static_cast<std::size_t>(high(start) - low(kept.back())) < width;
    if (!(fits && is_solid(taps, start) && is_solid(taps, kept.back()))) kept.push_back(start);
  }
  return kept;
}

Run make_run(const Taps &taps, std::size_t begin, std::size_t end) {
  Run run;
  run.begin = begin;
  run.end = end;
  const std::int32_t *opening = &taps.index[begin * taps.width];
  if (same_cells(taps, begin, end - 1)) {
    run.cells.assign(opening, opening + taps.width);
    run.cells.erase(std::unique(run.cells.begin(), run.cells.end()), run.cells.end());
  } else {  // joined: all cells from the lowest to the highest
    for (std::int32_t cell = opening[0]; cell <= taps.index[end * taps.width - 1]; ++cell) run.cells.push_back(cell);
  }
  run.stride = (run.positions() + 7) / 8 * 8;
  run.weight.assign(run.cells.size() * run.stride, 0.0f);
  for (std::size_t position = begin; position < end; ++position) {
    for (std::size_t tap = 0; tap < taps.width; ++tap) {
      const auto found = std::lower_bound(run.cells.begin(), run.cells.end(), taps.index[position * taps.width + tap]);
      const auto cell = static_cast<std::size_t>(found - run.cells.begin());
      run.weight[cell * run.stride + position - begin] += taps.weight[position * taps.width + tap];
    }
  }
  return run;
}

Taps chain(Size size, const std::vector<Step> &steps, bool rows, bool align_corners) {
  const auto side = [rows](Size both) { return static_cast<std::size_t>(rows ? both.height : both.width); };
  Taps taps = linear(side(size), side(size), align_corners);
  for (const Step &step : steps) {
    const std::size_t positions = side(step.size);
    const Taps resize = step.nearest ? nearest(taps.size(), positions) : linear(taps.size(), positions, align_corners);
    taps = compose(part(resize, side(step.origin), side(step.crop)), taps);
  }
  return taps;
}

}  // namespace

bool Taps::is_identity() const {
  if (width != 1 || index.size() != cells) return false;
  for (std::size_t position = 0; position < cells; ++position) {
    if (index[position] != static_cast<std::int32_t>(position)) return false;
  }
  return true;
}

Taps linear(std::size_t cells, std::size_t positions, bool align_corners) {
  Taps taps{2, cells, std::vector<std::int32_t>(positions * 2), std::vector<float>(positions * 2)};
  bool apart = false;  // whether a position lies between two cells
  const auto last = static_cast<std::int32_t>(cells) - 1;
  // Source coordinates are rounded to float32 once, after a fused multiply-add, which double precision reproduces.
  double scale = 0;
  if (!align_corners) {
    scale = static_cast<double>(static_cast<float>(cells) / static_cast<float>(positions));
  } else if (positions > 1) {
    scale = static_cast<double>(static_cast<float>(cells - 1) / static_cast<float>(positions - 1));
  }
  for (std::size_t position = 0; position < positions; ++position) {
    const auto destination = static_cast<double>(position);
    float source;
    if (cells == positions) {
      source = static_cast<float>(destination);
    } else if (align_corners) {
      source = static_cast<float>(destination * scale);
    } else {
      source = std::max(static_cast<float>(scale * (destination + 0.5) - 0.5), 0.0f);
    }
    const std::int32_t low = std::min(static_cast<std::int32_t>(source), last);
    const float fraction = std::min(std::max(source - static_cast<float>(low), 0.0f), 1.0f);
    const bool between = fraction > 0 && low < last;
    taps.index[position * 2] = low;
    taps.index[position * 2 + 1] = between ? low + 1 : low;
    taps.weight[position * 2] = between ? 1.0f - fraction : 1.0f;
    taps.weight[position * 2 + 1] = between ? fraction : 0.0f;
    apart = apart || between;
  }
  if (apart) return taps;
  for (std::size_t position = 0; position < positions; ++position) taps.index[position] = taps.index[position * 2];
  taps.index.resize(positions);
  taps.weight.assign(positions, 1.0f);
  taps.width = 1;
  return taps;
}

Taps nearest(std::size_t cells, std::size_t positions) {
  const double scale = 1.0 / (static_cast<double>(positions) / static_cast<double>(cells));
  Taps taps{1, cells, {}, std::vector<float>(positions, 1.0f)};
  taps.index.reserve(positions);
  for (std::size_t position = 0; position < positions; ++position) {
    const auto cell = static_cast<std::size_t>(std::floor(static_cast<double>(position) * scale));
    taps.index.push_back(static_cast<std::int32_t>(std::min(cell, cells - 1)));
  }
  return taps;
}

Taps part(const Taps &taps, std::size_t begin, std::size_t positions) {
  if (positions == taps.size()) return taps;
  const auto first = static_cast<std::ptrdiff_t>(begin * taps.width);
  const auto last = static_cast<std::ptrdiff_t>((begin + positions) * taps.width);
  return {taps.width, taps.cells, {taps.index.begin() + first, taps.index.begin() + last},
          {taps.weight.begin() + first, taps.weight.begin() + last}};
}

Taps compose(const Taps &outer, const Taps &inner) {
  if (inner.is_identity()) return outer;
  if (outer.is_identity()) return inner;
  const std::size_t positions = outer.size(), width = outer.width * inner.width;
  Loose loose{width, std::vector<std::int32_t>(positions * width), std::vector<double>(positions * width)};
  for (std::size_t entry = 0; entry < positions * outer.width; ++entry) {
    const auto middle = static_cast<std::size_t>(outer.index[entry]);
    for (std::size_t tap = 0; tap < inner.width; ++tap) {
      loose.index[entry * inner.width + tap] = inner.index[middle * inner.width + tap];
      loose.weight[entry * inner.width + tap] = static_cast<double>(outer.weight[entry]) *
                                                static_cast<double>(inner.weight[middle * inner.width + tap]);
    }
  }
  return merge(loose, inner.cells);
}

std::vector<Run> group(const Taps &taps) {
  const std::vector<std::size_t> starts = cut(taps);
  std::vector<Run> runs;
  for (std::size_t run = 0; run < starts.size(); ++run) {
    const std::size_t end = run + 1 < starts.size() ? starts[run + 1] : taps.size();
    for (std::size_t begin = starts[run]; begin < end; begin += kLongest) {
      runs.push_back(make_run(taps, begin, std::min(begin + kLongest, end)));
    }
  }
  return runs;
}

Operators operators(const Windows *windows, Size cells, const std::vector<Step> &steps, bool align_corners) {
  const auto whole = [](std::int64_t side) { return static_cast<std::size_t>(side); };
  if (windows == nullptr) return {chain(cells, steps, true, align_corners), chain(cells, steps, false, align_corners)};
  const Taps rows = average(windows->tops, whole(windows->size.height),
                            linear(whole(cells.height), whole(windows->window.height), align_corners));
  const Taps columns = average(windows->lefts, whole(windows->size.width),
                               linear(whole(cells.width), whole(windows->window.width), align_corners));
  return {compose(chain(windows->size, steps, true, align_corners), rows),
          compose(chain(windows->size, steps, false, align_corners), columns)};
}

}  // namespace segship
