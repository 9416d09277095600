/* Stands in for librknnrt: strict about the documented calls. A model is "RKNN HEIGHT WIDTH", a network that returns its three
 * input channels as scores. A second line asks for a fault: "busy" for a chip that is not there, "short" for too few bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t rknn_context;
typedef struct {
  uint32_t index, n_dims, dims[16];
  char name[256];
  uint32_t n_elems, size;
  int fmt, type, qnt_type;
  int8_t fl;
  int32_t zp;
  float scale;
  uint32_t w_stride, size_with_stride;
  uint8_t pass_through;
  uint32_t h_stride;
} rknn_tensor_attr;
typedef struct {
  uint32_t index;
  void *buf;
  uint32_t size;
  uint8_t pass_through;
  int type, fmt;
} rknn_input;
typedef struct {
  uint8_t want_float, is_prealloc;
  uint32_t index;
  void *buf;
  uint32_t size;
} rknn_output;
typedef struct {
  unsigned height, width;
  int fault, has_run;
  float *given;
} Network;

enum { INVALID = -5, NOT_A_MODEL = -6, UNAVAILABLE = -3, INPUT_INVALID = -8 };

int rknn_init(rknn_context *context, void *model, uint32_t size, uint32_t flag, void *extend) {
  char text[64] = "", fault[16] = "";
  if (flag != 0 || extend != NULL) return INVALID;
  memcpy(text, model, size < 63 ? size : 63);
  Network *network = calloc(1, sizeof(Network));
  const int found = sscanf(text, "RKNN %u %u %15s", &network->height, &network->width, fault);
  if (found < 2 || strcmp(fault, "busy") == 0) {
    free(network);
    return found < 2 ? NOT_A_MODEL : UNAVAILABLE;
  }
  network->fault = fault[0];
  *context = (rknn_context)(uintptr_t)network;
  return 0;
}

int rknn_destroy(rknn_context context) {
  Network *network = (Network *)(uintptr_t)context;
  free(network->given);
  free(network);
  return 0;
}

int rknn_query(rknn_context context, int query, void *info, uint32_t size) {
  const Network *network = (Network *)(uintptr_t)context;
  if (query == 0 && size == 8) {
    ((uint32_t *)info)[0] = ((uint32_t *)info)[1] = 1;
  } else if (query == 5 && size == 512) {
    strcpy(info, "2.3.2 (stand-in)");
  } else if ((query == 1 || query == 2) && size == sizeof(rknn_tensor_attr)) {
    rknn_tensor_attr *told = info;
    const uint32_t dims[2][4] = {{1, network->height, network->width, 3}, {1, 3, network->height, network->width}};
    if (told->index != 0) return INVALID;
    told->n_dims = 4;
    memcpy(told->dims, dims[query - 1], sizeof(dims[0]));
    told->n_elems = 3 * network->height * network->width;
    told->fmt = query == 1;
  } else {
    return INVALID;
  }
  return 0;
}

int rknn_inputs_set(rknn_context context, uint32_t count, rknn_input inputs[]) {
  Network *network = (Network *)(uintptr_t)context;
  const uint32_t size = 3 * network->height * network->width * 4;
  const rknn_input *one = inputs;
  if (count != 1 || one->index != 0 || one->size != size || one->pass_through != 0 || one->type != 0 || one->fmt != 1) {
    return INPUT_INVALID;
  }
  network->given = realloc(network->given, size);
  memcpy(network->given, one->buf, size);
  network->has_run = 0;
  return 0;
}

int rknn_run(rknn_context context, void *extend) {
  ((Network *)(uintptr_t)context)->has_run = 1;
  return extend == NULL ? 0 : INVALID;
}

int rknn_outputs_get(rknn_context context, uint32_t count, rknn_output outputs[], void *extend) {
  const Network *network = (Network *)(uintptr_t)context;
  const uint32_t pixels = network->height * network->width;
  if (count != 1 || !network->has_run || outputs->want_float != 1 || outputs->is_prealloc != 0 || extend != NULL) {
    return INVALID;
  }
  float *found = malloc(pixels * 12);
  for (uint32_t pixel = 0; pixel < pixels; ++pixel) {
    for (uint32_t channel = 0; channel < 3; ++channel) {
      found[channel * pixels + pixel] = network->given[pixel * 3 + channel];
    }
  }
  outputs->buf = found;
  outputs->size = network->fault == 's' ? 4 : pixels * 12;
  return 0;
}

int rknn_outputs_release(rknn_context context, uint32_t count, rknn_output outputs[]) {
  (void)context;
  if (count != 1) return INVALID;
  free(outputs->buf);
  return 0;
}
