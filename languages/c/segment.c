/* segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too. */
#include <errno.h>
#include <segship/segship.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PIXELS 100000000LL

typedef struct {
    uint8_t *pixels;
    int32_t height, width;
} picture;

static int is_space(int next) { return next == ' ' || next == '\t' || next == '\r' || next == '\n'; }

/* The next number of a header, and the byte behind it; -1: there is none. */
static int64_t number(FILE *file) {
    int next = getc(file);
    while (is_space(next) || next == '#') {
        if (next == '#')
            while (next != '\n' && next != EOF) next = getc(file);
        else
            next = getc(file);
    }
    int64_t found = next >= '0' && next <= '9' ? 0 : -1;
    for (; next >= '0' && next <= '9' && found < 1000000000; next = getc(file)) found = found * 10 + next - '0';
    return is_space(next) ? found : -1;
}

static int refuse(const char *path, const char *why) {
    fprintf(stderr, "error: %s %s\n", path, why);
    return 0;
}

/* In millions, where these tell the image from the limit. */
static int refuse_huge(const char *path, int64_t width, int64_t height) {
    double pixels = (double)width * (double)height;
    char found[64] = "", limit[] = "100,000,000";
    if (pixels > 100.5e6) {
        snprintf(found, sizeof found, "%.0f million", pixels / 1e6);
        snprintf(limit, sizeof limit, "100 million");
    } else {
        int count = (int)pixels;
        snprintf(found, sizeof found, "%d,%03d,%03d", count / 1000000, count / 1000 % 1000, count % 1000);
    }
    fprintf(stderr, "error: %s is too large: %lldx%lld pixels are %s, the limit is %s; shrink it or raise the limit\n", path,
            (long long)width, (long long)height, found, limit);
    return 0;
}

static int read_pixels(const char *path, FILE *file, picture *image) {
    int first = getc(file);
    if (first == EOF && ferror(file)) {
        fprintf(stderr, "error: cannot read %s: %s\n", path, strerror(errno));
        return 0;
    }
    if (first == EOF) return refuse(path, "is empty: expected a binary PPM (P6) of 8 bits");
    int known = first == 'P' && getc(file) == '6';
    int64_t width = known ? number(file) : -1, height = number(file), most = number(file);
    if (width < 1 || height < 1 || most != 255)
        return refuse(path, "is not an image of a known format: expected a binary PPM (P6) of 8 bits");
    if (width > MAX_PIXELS / height) return refuse_huge(path, width, height);
    size_t bytes = (size_t)(width * height * 3);
    image->pixels = malloc(bytes);
    if (!image->pixels) return refuse(path, "cannot be decoded: there is not enough memory");
    if (fread(image->pixels, 1, bytes, file) != bytes)
        return refuse(path, "cannot be decoded: the PPM file is cut off or damaged; save or copy it again");
    image->height = (int32_t)height;
    image->width = (int32_t)width;
    return 1;
}

static int read_ppm(const char *path, picture *image) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "error: cannot read %s: %s\n", path, strerror(errno));
        return 0;
    }
    int read = read_pixels(path, file, image);
    fclose(file);
    return read;
}

static int write_file(const char *path, const char *head, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    int written = file && fputs(head, file) >= 0 && fwrite(data, 1, bytes, file) == bytes;
    if (file && fclose(file)) written = 0;
    if (!written) fprintf(stderr, "error: cannot write %s: %s\n", path, strerror(errno));
    return written;
}

static int fail(void) {
    fprintf(stderr, "error: %s\n", segship_last_error());
    return 0;
}

static int write_mask(const segship_segmentor *segmentor, const segship_image *image, const char *path) {
    int each = segship_label_bytes(segship_segmentor_spec(segmentor)), done = 0;
    size_t pixels = (size_t)image->height * (size_t)image->width;
    uint8_t *mask = malloc(pixels * (size_t)each);
    char head[64];
    if (!mask) return refuse(path, "cannot be made: there is not enough memory");
    if (segship_mask(segmentor, image, mask, pixels * (size_t)each) == SEGSHIP_OK) {
        snprintf(head, sizeof head, "P5\n%d %d\n%d\n", image->width, image->height, each == 1 ? 255 : 65535);
        for (size_t pixel = 0; each == 2 && pixel < pixels; pixel++) { /* the format's order of bytes */
            uint16_t label;
            memcpy(&label, mask + 2 * pixel, 2);
            mask[2 * pixel] = (uint8_t)(label >> 8);
            mask[2 * pixel + 1] = (uint8_t)label;
        }
        done = write_file(path, head, mask, pixels * (size_t)each);
    } else {
        fail();
    }
    free(mask);
    return done;
}

static int write_scores(const segship_segmentor *segmentor, const segship_image *image, const char *path) {
    size_t planes = (size_t)segship_score_channels(segship_segmentor_spec(segmentor));
    size_t bytes = planes * (size_t)image->height * (size_t)image->width * sizeof(float);
    float *scores = malloc(bytes);
    int done = 0;
    if (!scores) return refuse(path, "cannot be made: there is not enough memory");
    if (segship_scores(segmentor, image, scores, bytes) == SEGSHIP_OK)
        done = write_file(path, "", scores, bytes);
    else
        fail();
    free(scores);
    return done;
}

int main(int count, char **arguments) {
    if (count != 4 && count != 5) {
        fputs("usage: c PACKAGE IMAGE.ppm MASK.pgm [SCORES]\n", stderr);
        return 2;
    }
    picture read = {NULL, 0, 0};
    segship_segmentor *segmentor = NULL;
    int done = read_ppm(arguments[2], &read);
    if (done && segship_require(SEGSHIP_VERSION, sizeof(void *)) != SEGSHIP_OK) done = fail();
    if (done && segship_open(arguments[1], NULL, &segmentor) != SEGSHIP_OK) done = fail();
    const segship_image image = {read.pixels, 0, read.height, read.width, 3, SEGSHIP_RGB, SEGSHIP_UINT8};
    done = done && write_mask(segmentor, &image, arguments[3]);
    if (done && count == 5) done = write_scores(segmentor, &image, arguments[4]);
    segship_close(segmentor);
    free(read.pixels);
    return done ? 0 : 2;
}
