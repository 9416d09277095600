#include "core/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/clones.hpp"
#include "core/interpolate.hpp"
#include "core/lanes.hpp"

namespace segship {

namespace {

template <std::size_t lanes>
SEGSHIP_INLINE void chances_by(const std::vector<const float *> &lines, std::size_t classes, std::size_t width,
                               std::size_t across, const std::vector<bool> &wanted, std::uint32_t *chances) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  const std::size_t stride = wanted.size() * kLanes;
  std::vector<float> greatest(classes * lanes);
  for (std::size_t x = 0; x < stride; x += lanes) {
    if (!wanted[x / kLanes]) continue;
    Floats floor = Floats{} - HUGE_VALF, value;
    for (std::size_t label = 0; label < classes; ++label) {
      Floats least = Floats{} + HUGE_VALF, most = Floats{} - HUGE_VALF;
      for (const float *line : lines) {
        for (std::size_t column = 0; column < across; ++column) {
          load(line + label * width + x + column, value);
          least = value < least ? value : least;
          most = value > most ? value : most;
        }
      }
      floor = least > floor ? least : floor;
      std::memcpy(greatest.data() + label * lanes, &most, sizeof(most));
    }
    for (std::size_t first = 0; first < classes; first += 32) {
      Ints found{};
      for (std::size_t label = first; label < std::min(first + 32, classes); ++label) {
        load(greatest.data() + label * lanes, value);
        const Ints reaches = value >= floor;
        found |= reaches & static_cast<std::int32_t>(1U << (label - first));
      }
      std::memcpy(chances + first / 32 * stride + x, &found, sizeof(found));
    }
  }
}
SEGSHIP_LEVELS(chances,
                 (const std::vector<const float *> &lines, std::size_t classes, std::size_t width, std::size_t across,
                  const std::vector<bool> &wanted, std::uint32_t *chances),
                 (lines, classes, width, across, wanted, chances))

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

// Every pixel of a block. What is interpolated is each candidate's lead over the first one.
template <class Label>
SEGSHIP_CLONES void decide_pixels(const std::vector<const float *> &lines, std::size_t cells, const Run &rows,
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

}  // namespace

void find_chances(const std::vector<const float *> &lines, std::size_t classes, std::size_t width, std::size_t across,
                  const std::vector<bool> &wanted, std::uint32_t *found) {
  chances(lines, classes, width, across, wanted, found);
}

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

void settle(const std::vector<const float *> &lines, std::size_t cells, const Run &rows, const Run &columns,
            const std::int32_t *candidates, std::size_t count, Room &room, std::uint8_t *mask, std::size_t width) {
  decide_pixels(lines, cells, rows, columns, candidates, count, room, mask, width);
}

void settle(const std::vector<const float *> &lines, std::size_t cells, const Run &rows, const Run &columns,
            const std::int32_t *candidates, std::size_t count, Room &room, std::uint16_t *mask, std::size_t width) {
  decide_pixels(lines, cells, rows, columns, candidates, count, room, mask, width);
}

}  // namespace segship
