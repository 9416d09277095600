// libFuzzer on the manifest's reader, and on the sizes that follow from what it accepts:
//
//     apt-get install clang libclang-rt-14-dev        # on Debian: the sanitizers lie apart from the compiler
//     CXX=clang++ cmake -S native -B build/fuzz -DSEGSHIP_FUZZ=ON && cmake --build build/fuzz
//     build/fuzz/fuzz_manifest -runs=1000000 -max_len=8192 CORPUS
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "segship/segship.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  segship_spec *spec = nullptr;
  const segship_status status = segship_spec_parse(reinterpret_cast<const char *>(data), size, &spec);
  if (status == SEGSHIP_INTERNAL_ERROR) std::abort();
  if (status != SEGSHIP_OK) return 0;
  for (std::int32_t label = -1; label <= segship_classes(spec); ++label) {
    segship_class_name(spec, label);
    segship_class_color(spec, label);
  }
  const std::int32_t sizes[][2] = {{1, 1}, {37, 53}, {4000, 3}, {2160, 3840}, {32768, 32768}};
  for (const auto &image : sizes) {
    segship_plan plan;
    if (segship_plan_image(spec, image[0], image[1], &plan) == SEGSHIP_INTERNAL_ERROR) std::abort();
  }
  segship_spec_free(spec);
  return 0;
}
