// Blocks of pixels that draw on the same cells, where these disagree about the winner: which classes may win there, and
// which does at each pixel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/taps.hpp"

namespace segship {

// What blocks are decided with; sized once.
struct Room {
  std::vector<float> lead, down;
  std::vector<bool> wanted;
  std::vector<std::uint32_t> chances;     // (classes / 32, width): a bit for each class that may win
  std::vector<std::int32_t> candidates;   // of all blocks, ascending within one
  std::vector<std::size_t> ends;          // where the candidates of a block end
};

// The classes that may win in blocks of `across` neighbouring columns of cells, for all columns at once: a bit for each
// class in `chances` (classes / 32, stride). A class that is nowhere above what another is everywhere cannot win. `lines`:
// rows of cells (classes, width). `wanted`: whether kLanes columns matter.
void find_chances(const std::vector<const float *> &lines, std::size_t classes, std::size_t width, std::size_t across,
                  const std::vector<bool> &wanted, std::uint32_t *chances);

// The same for one block of any columns: appended to `found`.
void find_candidates(const std::vector<const float *> &lines, std::size_t classes, std::size_t width, const Run &columns,
                     std::vector<std::int32_t> &found);

// Decide every pixel of a block between its candidates. `cells`: columns of cells; `width`: of the mask.
void settle(const std::vector<const float *> &lines, std::size_t cells, const Run &rows, const Run &columns,
            const std::int32_t *candidates, std::size_t count, Room &room, std::uint8_t *mask, std::size_t width);
void settle(const std::vector<const float *> &lines, std::size_t cells, const Run &rows, const Run &columns,
            const std::int32_t *candidates, std::size_t count, Room &room, std::uint16_t *mask, std::size_t width);

}  // namespace segship
