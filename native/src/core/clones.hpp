// Functions whose loops are compiled for wider vectors, too; the processor at hand decides when the program starts.
// Results are the same: nothing is fused or reordered.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SEGSHIP_NO_CLONES)
#define SEGSHIP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SEGSHIP_CLONES
#endif
