// segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <segship/segship.hpp>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t kMaxPixels = 100'000'000;

struct Close {
  void operator()(std::FILE *file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

struct Picture {
  std::int32_t height = 0, width = 0;
  std::vector<std::uint8_t> pixels;
};

bool is_space(int next) { return next == ' ' || next == '\t' || next == '\r' || next == '\n'; }

// The next number of a header, and the byte behind it; -1: there is none.
std::int64_t number(std::FILE *file) {
  int next = std::getc(file);
  while (is_space(next) || next == '#') {
    if (next == '#') {
      while (next != '\n' && next != EOF) next = std::getc(file);
    } else {
      next = std::getc(file);
    }
  }
  std::int64_t found = next >= '0' && next <= '9' ? 0 : -1;
  for (; next >= '0' && next <= '9' && found < 1'000'000'000; next = std::getc(file)) found = found * 10 + next - '0';
  return is_space(next) ? found : -1;
}

std::runtime_error refused(const std::string &path, const std::string &why) {
  return std::runtime_error(path + " " + why);
}

// In millions, where these tell the image from the limit.
std::runtime_error huge(const std::string &path, std::int64_t width, std::int64_t height) {
  const double pixels = static_cast<double>(width) * static_cast<double>(height);
  const bool told = pixels > 100.5e6;
  char found[64];
  if (told) {
    std::snprintf(found, sizeof found, "%.0f million", pixels / 1e6);
  } else {
    const int count = static_cast<int>(pixels);
    std::snprintf(found, sizeof found, "%d,%03d,%03d", count / 1'000'000, count / 1000 % 1000, count % 1000);
  }
  return refused(path, "is too large: " + std::to_string(width) + "x" + std::to_string(height) + " pixels are " + found +
                           ", the limit is " + (told ? "100 million" : "100,000,000") + "; shrink it or raise the limit");
}

std::runtime_error unreadable(const std::string &what) { return std::runtime_error(what + ": " + std::strerror(errno)); }

Picture read_ppm(const std::string &path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw unreadable("cannot read " + path);
  const int first = std::getc(file.get());
  if (first == EOF && std::ferror(file.get())) throw unreadable("cannot read " + path);
  if (first == EOF) throw refused(path, "is empty: expected a binary PPM (P6) of 8 bits");
  const bool known = first == 'P' && std::getc(file.get()) == '6';
  const std::int64_t width = known ? number(file.get()) : -1, height = number(file.get()), most = number(file.get());
  if (width < 1 || height < 1 || most != 255) {
    throw refused(path, "is not an image of a known format: expected a binary PPM (P6) of 8 bits");
  }
  if (width > kMaxPixels / height) throw huge(path, width, height);
  Picture picture{static_cast<std::int32_t>(height), static_cast<std::int32_t>(width), {}};
  picture.pixels.resize(static_cast<std::size_t>(height * width * 3));
  if (std::fread(picture.pixels.data(), 1, picture.pixels.size(), file.get()) != picture.pixels.size()) {
    throw refused(path, "cannot be decoded: the PPM file is cut off or damaged; save or copy it again");
  }
  return picture;
}

void write_file(const std::string &path, const std::string &head, const void *data, std::size_t bytes) {
  File file(std::fopen(path.c_str(), "wb"));
  bool written = file && std::fwrite(head.data(), 1, head.size(), file.get()) == head.size() &&
                 std::fwrite(data, 1, bytes, file.get()) == bytes;
  if (file && std::fclose(file.release()) != 0) written = false;
  if (!written) throw unreadable("cannot write " + path);
}

void write_pgm(const std::string &path, segship::Mask mask) {
  const segship::Span<std::uint8_t> bytes = mask.bytes();
  if (mask.label_bytes() == 2) {  // the format's order of bytes
    for (std::size_t place = 0; place < bytes.size(); place += 2) {
      std::uint16_t label;
      std::memcpy(&label, &bytes[place], sizeof label);
      bytes[place] = static_cast<std::uint8_t>(label >> 8);
      bytes[place + 1] = static_cast<std::uint8_t>(label);
    }
  }
  const std::string head = "P5\n" + std::to_string(mask.width()) + " " + std::to_string(mask.height()) + "\n" +
                           (mask.label_bytes() == 1 ? "255\n" : "65535\n");
  write_file(path, head, bytes.data(), bytes.size());
}

}  // namespace

int main(int count, char **arguments) {
  if (count != 4 && count != 5) {
    std::fputs("usage: cpp PACKAGE IMAGE.ppm MASK.pgm [SCORES]\n", stderr);
    return 2;
  }
  try {
    const Picture picture = read_ppm(arguments[2]);
    const segship::Segmentor segmentor(arguments[1]);
    const segship::Image image(picture.pixels.data(), picture.height, picture.width);
    write_pgm(arguments[3], segmentor(image));
    if (count == 5) {
      const segship::Scores scores = segmentor.scores(image);
      write_file(arguments[4], "", scores.values.data(), scores.values.size() * sizeof(float));
    }
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
  return 0;
}
