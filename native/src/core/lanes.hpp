// Several numbers at once, in the vectors that GCC and clang know on every machine. (Loops over so few GCC unrolls one by
// one instead.)
#pragma once

#include <cstdint>
#include <cstring>

#if !defined(__GNUC__)
#error "Segship needs the vectors of GCC or clang; on Windows, build it with clang-cl."
#endif

namespace segship {

constexpr std::size_t kLanes = 16;  // of the widest processor

typedef float Few __attribute__((vector_size(32)));
typedef std::int32_t FewInts __attribute__((vector_size(32)));
constexpr std::size_t kFew = 8;

template <std::size_t lanes>
struct Wide {
  typedef float Floats __attribute__((vector_size(4 * lanes)));
  typedef std::int32_t Ints __attribute__((vector_size(4 * lanes)));
};

template <class Vector>
inline void load(const float *from, Vector &to) {
  std::memcpy(&to, from, sizeof(to));
}
template <class Vector>
inline void store(const Vector &from, float *to) {
  std::memcpy(to, &from, sizeof(from));
}

template <std::size_t lanes>
inline void exponential(typename Wide<lanes>::Floats &x) {
  using Floats = typename Wide<lanes>::Floats;
  using Ints = typename Wide<lanes>::Ints;
  // e to the power of x, for x at most 88, within 2 units in the last place.
  constexpr float least = -104, rounder = 12582912;  // 1.5 * 2^23: added to a number, it leaves the nearest whole one
  const Floats floor = Floats{} + least;
  x = x > floor ? x : floor;
  const Floats shifted = x * 1.44269504f + rounder;
  const Floats turns = shifted - rounder;
  const Floats rest = (x - turns * 0.693359375f) - turns * -2.12194440e-4f;
  Floats power = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  power = power * rest + 8.3334519073e-3f;
  power = power * rest + 4.1665795894e-2f;
  power = power * rest + 1.6666665459e-1f;
  power = power * rest + 5.0000001201e-1f;
  power = power * rest * rest + rest + 1.0f;
  // Two factors, so that results below the smallest normal number come out as such.
  Ints whole;
  std::memcpy(&whole, &shifted, sizeof(whole));
  whole -= 0x4B400000;  // the rounder's bits
  const Ints half = whole >> 1;
  const Ints bits[2] = {(half + 127) << 23, (whole - half + 127) << 23};
  Floats scale[2];
  std::memcpy(scale, bits, sizeof(scale));
  x = power * scale[0] * scale[1];
}

}  // namespace segship
