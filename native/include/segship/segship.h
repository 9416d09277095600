/*
 * segship.h: packages of Segship from C, and from any language that can call C.
 *
 * A package is a folder that `segship export` wrote. Opened, it turns an image into a mask: the label of each pixel, at
 * the image's own size, the same as in Python and the same as the framework gave that trained the network.
 *
 *     segship_segmentor *segmentor = NULL;
 *     if (segship_open("package", NULL, &segmentor) != SEGSHIP_OK) { puts(segship_last_error()); return 2; }
 *     segship_image image = {pixels, 0, height, width, 3, SEGSHIP_RGB, SEGSHIP_UINT8};
 *     segship_mask(segmentor, &image, mask, mask_bytes);
 *     segship_close(segmentor);
 *
 * Rules that hold for every function:
 *
 * - Every function may be called from any thread, and one handle from many threads at the same time. A handle is freed
 *   once, when no other call uses it. Freeing NULL does nothing.
 * - A function that can fail returns a segship_status; its outputs are written only where that is SEGSHIP_OK. No
 *   exception and no signal leaves the library.
 * - Buffers belong to the caller, who says how large they are; nothing is written beyond.
 * - Texts are UTF-8 and end with a zero. Those that are returned belong to the handle, and live as long as it.
 * - Sizes are height before width. Arrays are C-contiguous, the last axis is the fastest.
 */
#ifndef SEGSHIP_SEGSHIP_H
#define SEGSHIP_SEGSHIP_H

#include <stddef.h>
#include <stdint.h>

#if defined(SEGSHIP_STATIC)
#define SEGSHIP_API
#elif defined(_WIN32) && defined(SEGSHIP_BUILD)
#define SEGSHIP_API __declspec(dllexport)
#elif defined(_WIN32)
#define SEGSHIP_API __declspec(dllimport)
#else
#define SEGSHIP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define SEGSHIP_NOEXCEPT noexcept
extern "C" {
#else
#define SEGSHIP_NOEXCEPT
#endif

/* ---- Version ---------------------------------------------------------------------------------------------------- */

#define SEGSHIP_VERSION_MAJOR 0
#define SEGSHIP_VERSION_MINOR 2
#define SEGSHIP_VERSION_PATCH 0
/** The version of this header as one number: 10000 * major + 100 * minor + patch. */
#define SEGSHIP_VERSION (SEGSHIP_VERSION_MAJOR * 10000 + SEGSHIP_VERSION_MINOR * 100 + SEGSHIP_VERSION_PATCH)

/** The version of the library, as SEGSHIP_VERSION counts it. */
SEGSHIP_API uint32_t segship_version(void) SEGSHIP_NOEXCEPT;

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/** How a call ended; one of the SEGSHIP_... below. The kinds are those of Segship's errors in Python. */
typedef int32_t segship_status;

enum {
  SEGSHIP_OK = 0,
  /** An image, buffer or argument cannot be used. */
  SEGSHIP_INPUT_ERROR = 1,
  /** The network cannot take what the image becomes. */
  SEGSHIP_SIZE_ERROR = 2,
  /** The package is damaged, incomplete, or newer than this library. */
  SEGSHIP_PACKAGE_ERROR = 3,
  /** The engine cannot be opened or run. */
  SEGSHIP_BACKEND_ERROR = 4,
  /** The engine's library is not on this machine; the message says how to get it. */
  SEGSHIP_MISSING_ERROR = 5,
  /** Understood, but not provided; the message says why. */
  SEGSHIP_UNSUPPORTED_ERROR = 6,
  /** There is not enough memory. */
  SEGSHIP_MEMORY_ERROR = 7,
  /** A fault of this library; please report it. */
  SEGSHIP_INTERNAL_ERROR = 8
};

/**
 * What went wrong in this thread's last call that failed: what was found, what was expected, what to do, in one line.
 * Empty where none failed. It lives until the next failure in the same thread.
 */
SEGSHIP_API const char *segship_last_error(void) SEGSHIP_NOEXCEPT;

/**
 * Check that a program and the library that it found fit together.
 *
 * @param version The SEGSHIP_VERSION that the program was written for: the library must be of the same major and minor
 *     version.
 * @param pointer_bytes The size of a pointer in the program, 4 or 8.
 * @return SEGSHIP_OK, or SEGSHIP_UNSUPPORTED_ERROR.
 */
SEGSHIP_API segship_status segship_require(uint32_t version, uint32_t pointer_bytes) SEGSHIP_NOEXCEPT;

/* ---- Arrays ----------------------------------------------------------------------------------------------------- */

/** Types of numbers. */
enum {
  SEGSHIP_UINT8 = 0,
  SEGSHIP_UINT16 = 1,
  SEGSHIP_FLOAT32 = 2,
  SEGSHIP_INT32 = 3,
  SEGSHIP_INT64 = 4
};

/** Orders of the channels of a photograph. */
enum { SEGSHIP_RGB = 0, SEGSHIP_BGR = 1 };

/** An image in memory: rows from the top, pixels from the left, the channels of a pixel beside one another. */
typedef struct segship_image {
  /** The first pixel. */
  const void *data;
  /** Bytes from one row to the next; 0: rows follow each other without a gap. Negative: data is the last row. */
  int64_t row_stride;
  int32_t height;
  int32_t width;
  /**
   * 1: grey. 3. 4: the last is alpha, and is dropped. A network that takes all bands of an image as they are stored
   * (segship_bands) wants exactly as many as it has.
   */
  int32_t channels;
  /** SEGSHIP_RGB or SEGSHIP_BGR; without meaning for grey, and for bands, which keep their order. */
  int32_t order;
  /** SEGSHIP_UINT8; for bands SEGSHIP_UINT16 or SEGSHIP_FLOAT32, too. */
  int32_t dtype;
} segship_image;

/** What an engine returned. */
typedef struct segship_tensor {
  const void *data;
  /** Size of the buffer at data. */
  int64_t bytes;
  /** SEGSHIP_FLOAT32 for logits; for labels SEGSHIP_UINT8, SEGSHIP_INT32 or SEGSHIP_INT64, too. */
  int32_t dtype;
  /** Number of windows; 1 where the network sees the whole image. */
  int32_t windows;
  /** Number of logits of a cell; 1 for labels. */
  int32_t channels;
  int32_t height;
  int32_t width;
} segship_tensor;

/* ---- A network's spec ------------------------------------------------------------------------------------------- */

/** The input that a network expects and the meaning of its output: what manifest.json says. */
typedef struct segship_spec segship_spec;

/**
 * Read the text of a manifest.json, or of the metadata "segship" that a lone engine file carries.
 *
 * @param json The text, UTF-8.
 * @param bytes Its length, without a zero at the end.
 * @param spec Where the new handle goes; free it by segship_spec_free.
 * @return SEGSHIP_PACKAGE_ERROR: it is not what Segship writes. SEGSHIP_UNSUPPORTED_ERROR: it is, but asks for what
 *     this library does not do.
 */
SEGSHIP_API segship_status segship_spec_parse(const char *json, size_t bytes, segship_spec **spec) SEGSHIP_NOEXCEPT;

/** Free what segship_spec_parse made. */
SEGSHIP_API void segship_spec_free(segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Number of classes; labels are 0 to one less. */
SEGSHIP_API int32_t segship_classes(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Name of a class; NULL where there is no such label. */
SEGSHIP_API const char *segship_class_name(const segship_spec *spec, int32_t label) SEGSHIP_NOEXCEPT;

/** Colour of a class as 0xRRGGBB; -1 where there is no such label. */
SEGSHIP_API int32_t segship_class_color(const segship_spec *spec, int32_t label) SEGSHIP_NOEXCEPT;

/** Bytes of one label of a mask: 1 (uint8) up to 256 classes, else 2 (uint16, the machine's byte order). */
SEGSHIP_API int32_t segship_label_bytes(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Number of planes of the scores: one for each class; 1 for a binary network with one output (sigmoid). */
SEGSHIP_API int32_t segship_score_channels(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Number of bands where the network takes all of them as they are stored; 0: it takes photographs. */
SEGSHIP_API int32_t segship_bands(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Name of the engine, as in "onnxruntime"; empty where the text does not say it. */
SEGSHIP_API const char *segship_backend(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Name of the engine's file in the package, as in "model.onnx"; empty where the text does not say it. */
SEGSHIP_API const char *segship_engine_file(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Name of the engine's input. */
SEGSHIP_API const char *segship_input_name(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/** Name of the engine's output. */
SEGSHIP_API const char *segship_output_name(const segship_spec *spec) SEGSHIP_NOEXCEPT;

/* ---- Masks ------------------------------------------------------------------------------------------------------ */

/** An opened package. */
typedef struct segship_segmentor segship_segmentor;

/** How a package is opened. Fill it by segship_options_init, then change what you want. */
typedef struct segship_options {
  /** Size of this struct, as segship_options_init sets it; the library reads no further. */
  uint32_t struct_size;
  /** Threads of the engine; 0: its own choice. */
  int32_t threads;
  /** Images with more pixels are refused; 0: 100 million. */
  int64_t max_pixels;
  /** The engine's library or the folder that it lies in; NULL: it is searched, as segship_open says. */
  const char *runtime;
  /** What the engine runs on; NULL: "cpu", of packages for Rockchip's chips "npu". */
  const char *device;
} segship_options;

/** Set every field to what it means to leave it out. */
SEGSHIP_API void segship_options_init(segship_options *options) SEGSHIP_NOEXCEPT;

/**
 * Open a package: read its manifest, check the digest of every file, open its engine.
 *
 * The engine's library is loaded now: from options->runtime; else from where the environment variable
 * SEGSHIP_ONNXRUNTIME, SEGSHIP_OPENVINO or SEGSHIP_RKNN points; else from pip's wheel in the Python environment that
 * is active or that the python3 of PATH belongs to; else from where the system finds it.
 *
 * @param package Path of the folder.
 * @param options NULL: all left out.
 * @param segmentor Where the new handle goes; free it by segship_close.
 * @return SEGSHIP_PACKAGE_ERROR, SEGSHIP_MISSING_ERROR, SEGSHIP_BACKEND_ERROR or SEGSHIP_UNSUPPORTED_ERROR.
 */
SEGSHIP_API segship_status segship_open(const char *package, const segship_options *options,
                                        segship_segmentor **segmentor) SEGSHIP_NOEXCEPT;

/** Close the engine and free the handle. */
SEGSHIP_API void segship_close(segship_segmentor *segmentor) SEGSHIP_NOEXCEPT;

/** The spec of an opened package; it belongs to the segmentor, and is not freed. */
SEGSHIP_API const segship_spec *segship_segmentor_spec(const segship_segmentor *segmentor) SEGSHIP_NOEXCEPT;

/** The engine that runs, with its version and the library it was loaded from. */
SEGSHIP_API const char *segship_segmentor_engine(const segship_segmentor *segmentor) SEGSHIP_NOEXCEPT;

/**
 * The mask of an image: the label of each pixel, at the image's own size.
 *
 * @param mask Room for (height, width) labels of segship_label_bytes.
 * @param bytes Its size, at least height * width * segship_label_bytes.
 * @return SEGSHIP_INPUT_ERROR, SEGSHIP_SIZE_ERROR or SEGSHIP_BACKEND_ERROR.
 */
SEGSHIP_API segship_status segship_mask(const segship_segmentor *segmentor, const segship_image *image, void *mask,
                                        size_t bytes) SEGSHIP_NOEXCEPT;

/**
 * The probability of each class at each pixel, at the image's own size.
 *
 * @param scores Room for float32 (segship_score_channels, height, width), each in 0-1: softmax over the classes, or
 *     one sigmoid.
 * @param bytes Its size.
 * @return As segship_mask; SEGSHIP_UNSUPPORTED_ERROR where the engine returns labels.
 */
SEGSHIP_API segship_status segship_scores(const segship_segmentor *segmentor, const segship_image *image, float *scores,
                                          size_t bytes) SEGSHIP_NOEXCEPT;

/**
 * The colours of a mask over its image.
 *
 * @param image A photograph, SEGSHIP_UINT8.
 * @param mask (height, width) labels of segship_label_bytes, without gaps; labels that are no class leave the image as
 *     it is.
 * @param mask_bytes Its size.
 * @param opacity 0: the image alone; 1: the colours alone.
 * @param rgb Room for uint8 (height, width, 3), in the order red, green, blue.
 * @param bytes Its size.
 */
SEGSHIP_API segship_status segship_overlay(const segship_spec *spec, const segship_image *image, const void *mask,
                                           size_t mask_bytes, double opacity, uint8_t *rgb,
                                           size_t bytes) SEGSHIP_NOEXCEPT;

/* ---- The pieces alone, for those who run their engine themselves ------------------------------------------------ */

/** The arrays between an image of one size and its mask. */
typedef struct segship_plan {
  /** What the engine takes: (windows, channels, height, width), all windows together or one after the other. */
  int32_t windows;
  int32_t channels;
  int32_t height;
  int32_t width;
  /**
   * SEGSHIP_FLOAT32. SEGSHIP_UINT8: the engine prepares images itself; its input has the axes (height, width, channels)
   * and is the image in the order red, green, blue.
   */
  int32_t dtype;
  /** 1: the engine returns labels; 0: logits. */
  int32_t decided;
  /** Sizes of the buffers for segship_prepare, segship_decide and segship_decide_scores. */
  int64_t input_bytes;
  int64_t mask_bytes;
  int64_t scores_bytes;
} segship_plan;

/**
 * Tell what becomes of an image of height x width pixels.
 *
 * @return SEGSHIP_INPUT_ERROR: it cannot be brought to the network's size. SEGSHIP_SIZE_ERROR: the network cannot take
 *     what it becomes.
 */
SEGSHIP_API segship_status segship_plan_image(const segship_spec *spec, int32_t height, int32_t width,
                                              segship_plan *plan) SEGSHIP_NOEXCEPT;

/**
 * Make the engine's input of an image: its geometry, the order of its channels, normalisation, padding, windows.
 *
 * @param input Room for all windows, as segship_plan says.
 * @param bytes Its size, at least input_bytes of the plan.
 * @return As segship_plan_image.
 */
SEGSHIP_API segship_status segship_prepare(const segship_spec *spec, const segship_image *image, void *input,
                                           size_t bytes) SEGSHIP_NOEXCEPT;

/**
 * Make the mask of what the engine returned for an image of height x width pixels.
 *
 * @param output Logits or labels of all windows, in the order of segship_prepare.
 * @param mask As for segship_mask.
 * @param bytes Its size.
 * @return SEGSHIP_BACKEND_ERROR: the output is not what this network returns.
 */
SEGSHIP_API segship_status segship_decide(const segship_spec *spec, int32_t height, int32_t width,
                                          const segship_tensor *output, void *mask, size_t bytes) SEGSHIP_NOEXCEPT;

/** Make the scores of what the engine returned; otherwise as segship_decide, with scores as for segship_scores. */
SEGSHIP_API segship_status segship_decide_scores(const segship_spec *spec, int32_t height, int32_t width,
                                                 const segship_tensor *output, float *scores,
                                                 size_t bytes) SEGSHIP_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
