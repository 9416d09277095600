// Functions whose loops are compiled for wider vectors, too; the processor at hand decides when the program starts.
// Results are the same: nothing is fused or reordered.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SEGSHIP_NO_CLONES)
#define SEGSHIP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define SEGSHIP_LEVEL(level, lanes, name, parameters, arguments) \
  __attribute__((target(level))) auto name parameters { return name##_by<lanes> arguments; }
#define SEGSHIP_LEVELS(name, parameters, arguments)                   \
  SEGSHIP_LEVEL("arch=x86-64-v4", 16, name, parameters, arguments)    \
  SEGSHIP_LEVEL("arch=x86-64-v3", 8, name, parameters, arguments)     \
  SEGSHIP_LEVEL("default", 4, name, parameters, arguments)
#else
#define SEGSHIP_CLONES
#define SEGSHIP_LEVELS(name, parameters, arguments) \
  auto name parameters { return name##_by<4> arguments; }
#endif

// Of a template `name_by<lanes>`, whose vectors are as wide as the processor's: GCC compares wider ones number by number.
#define SEGSHIP_INLINE __attribute__((always_inline)) inline
