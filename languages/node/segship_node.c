/* segship.h for Node, by Node-API; index.js gives it its shape. Calls run on Node's worker threads. */
#define NAPI_VERSION 8
#include <node_api.h>
#include <segship/segship.h>
#include <stdlib.h>
#include <string.h>

/* An opened package; freed when it is closed and no call is under way. All fields belong to the main thread. */
typedef struct {
    segship_segmentor *segmentor;
    int calls;
    int closed;
} handle;

typedef enum { OPEN, MASK, SCORES, OVERLAY } kind;

/* One call, from its arguments to its promise. */
typedef struct {
    kind what;
    handle *on;
    napi_deferred deferred;
    napi_async_work work;
    napi_ref buffers; /* keeps the arrays in memory */
    char *texts[3];   /* package, runtime, device */
    segship_options options;
    segship_image image;
    void *input, *output;
    size_t input_bytes, output_bytes;
    double opacity;
    segship_segmentor *opened;
    segship_status status;
    char *message;
} call;

static const char *const CODES[] = {"OK", "INPUT", "SIZE", "PACKAGE", "BACKEND", "MISSING", "UNSUPPORTED", "MEMORY", "INTERNAL"};

static void release(handle *on) {
    if (!on->closed || on->calls) return;
    segship_close(on->segmentor);
    on->segmentor = NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
    (void)env, (void)hint;
    handle *on = data;
    on->closed = 1;
    release(on);
    free(on);
}

static napi_value text_value(napi_env env, const char *text) {
    napi_value value = NULL;
    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
    return value;
}

static napi_value int_value(napi_env env, int32_t number) {
    napi_value value = NULL;
    napi_create_int32(env, number, &value);
    return value;
}

/* {handle, classes, colors, bands, engine, labelBytes, scorePlanes} */
static napi_value described(napi_env env, segship_segmentor *segmentor) {
    const segship_spec *spec = segship_segmentor_spec(segmentor);
    handle *on = calloc(1, sizeof *on);
    if (!on) {
        segship_close(segmentor);
        return NULL;
    }
    on->segmentor = segmentor;
    napi_value result, external, classes, colors;
    napi_create_object(env, &result);
    napi_create_external(env, on, finalize, NULL, &external);
    napi_create_array(env, &classes);
    napi_create_array(env, &colors);
    for (int32_t label = 0; label < segship_classes(spec); label++) {
        napi_set_element(env, classes, (uint32_t)label, text_value(env, segship_class_name(spec, label)));
        napi_set_element(env, colors, (uint32_t)label, int_value(env, segship_class_color(spec, label)));
    }
    napi_set_named_property(env, result, "handle", external);
    napi_set_named_property(env, result, "classes", classes);
    napi_set_named_property(env, result, "colors", colors);
    napi_set_named_property(env, result, "bands", int_value(env, segship_bands(spec)));
    napi_set_named_property(env, result, "engine", text_value(env, segship_segmentor_engine(segmentor)));
    napi_set_named_property(env, result, "labelBytes", int_value(env, segship_label_bytes(spec)));
    napi_set_named_property(env, result, "scorePlanes", int_value(env, segship_score_channels(spec)));
    return result;
}

static void execute(napi_env env, void *data) {
    (void)env;
    call *one = data;
    const segship_segmentor *segmentor = one->on ? one->on->segmentor : NULL;
    switch (one->what) {
    case OPEN:
        one->status = segship_require(SEGSHIP_VERSION, sizeof(void *));
        if (one->status == SEGSHIP_OK) one->status = segship_open(one->texts[0], &one->options, &one->opened);
        break;
    case MASK: one->status = segship_mask(segmentor, &one->image, one->output, one->output_bytes); break;
    case SCORES: one->status = segship_scores(segmentor, &one->image, one->output, one->output_bytes); break;
    case OVERLAY:
        one->status = segship_overlay(segship_segmentor_spec(segmentor), &one->image, one->input, one->input_bytes,
                                      one->opacity, one->output, one->output_bytes);
    }
    if (one->status != SEGSHIP_OK) one->message = strdup(segship_last_error()); /* this thread's own */
}

static napi_value error_of(napi_env env, const call *one) {
    char code[40] = "SEGSHIP_";
    int known = one->status > 0 && one->status < (int)(sizeof CODES / sizeof *CODES);
    strcat(strcat(code, CODES[known ? one->status : SEGSHIP_INTERNAL_ERROR]), "_ERROR");
    napi_value error = NULL;
    napi_create_error(env, text_value(env, code), text_value(env, one->message ? one->message : "no memory"), &error);
    return error;
}

static void complete(napi_env env, napi_status status, void *data) {
    (void)status;
    call *one = data;
    if (one->on) {
        one->on->calls--;
        release(one->on);
    }
    if (one->status == SEGSHIP_OK) {
        napi_value result = NULL;
        if (one->what == OPEN) result = described(env, one->opened);
        if (!result) napi_get_undefined(env, &result);
        napi_resolve_deferred(env, one->deferred, result);
    } else {
        napi_reject_deferred(env, one->deferred, error_of(env, one));
    }
    if (one->buffers) napi_delete_reference(env, one->buffers);
    napi_delete_async_work(env, one->work);
    for (int text = 0; text < 3; text++) free(one->texts[text]);
    free(one->message);
    free(one);
}

static napi_value start(napi_env env, call *one) {
    napi_value promise = NULL;
    napi_create_promise(env, &one->deferred, &promise);
    napi_create_async_work(env, NULL, text_value(env, "segship"), execute, complete, one, &one->work);
    if (one->on) one->on->calls++;
    napi_queue_async_work(env, one->work);
    return promise;
}

static char *text_of(napi_env env, napi_value value) {
    size_t length;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL; /* undefined */
    char *text = malloc(length + 1);
    if (text) napi_get_value_string_utf8(env, value, text, length + 1, &length);
    return text;
}

static double number_of(napi_env env, napi_value value) {
    double number = 0;
    napi_get_value_double(env, value, &number);
    return number;
}

static int32_t int_of(napi_env env, napi_value value) {
    int32_t number = 0;
    napi_get_value_int32(env, value, &number);
    return number;
}

/* open(package, threads, maxPixels, runtime, device) */
static napi_value js_open(napi_env env, napi_callback_info info) {
    napi_value given[5];
    size_t count = 5;
    napi_get_cb_info(env, info, &count, given, NULL, NULL);
    call *one = calloc(1, sizeof *one);
    if (!one) return NULL;
    one->what = OPEN;
    segship_options_init(&one->options);
    one->texts[0] = text_of(env, given[0]);
    one->texts[1] = text_of(env, given[3]);
    one->texts[2] = text_of(env, given[4]);
    one->options.threads = int_of(env, given[1]);
    one->options.max_pixels = (int64_t)number_of(env, given[2]);
    one->options.runtime = one->texts[1];
    one->options.device = one->texts[2];
    return start(env, one);
}

static int array_of(napi_env env, napi_value value, void **data, size_t *bytes) {
    static const size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    napi_typedarray_type type;
    size_t length;
    if (napi_get_typedarray_info(env, value, &type, &length, data, NULL, NULL) != napi_ok) return 0;
    *bytes = length * sizes[type];
    return 1;
}

/* run(handle, kind, [data, output, input], height, width, channels, order, dtype, opacity) */
static napi_value js_run(napi_env env, napi_callback_info info) {
    napi_value given[9], element;
    size_t count = 9, bytes;
    napi_get_cb_info(env, info, &count, given, NULL, NULL);
    call *one = calloc(1, sizeof *one);
    void *external = NULL, *data = NULL;
    if (!one) return NULL;
    napi_get_value_external(env, given[0], &external);
    one->on = external;
    one->what = (kind)int_of(env, given[1]);
    napi_get_element(env, given[2], 0, &element);
    array_of(env, element, &data, &bytes);
    napi_get_element(env, given[2], 1, &element);
    array_of(env, element, &one->output, &one->output_bytes);
    napi_get_element(env, given[2], 2, &element);
    array_of(env, element, &one->input, &one->input_bytes); /* the mask of an overlay */
    one->image = (segship_image){data, 0, int_of(env, given[3]), int_of(env, given[4]), int_of(env, given[5]),
                                 int_of(env, given[6]), int_of(env, given[7])};
    one->opacity = number_of(env, given[8]);
    /* The handle, too: what is being used is not collected. */
    napi_set_element(env, given[2], 3, given[0]);
    napi_create_reference(env, given[2], 1, &one->buffers);
    return start(env, one);
}

/* close(handle) */
static napi_value js_close(napi_env env, napi_callback_info info) {
    napi_value given[1];
    size_t count = 1;
    void *external = NULL;
    napi_get_cb_info(env, info, &count, given, NULL, NULL);
    napi_get_value_external(env, given[0], &external);
    handle *on = external;
    on->closed = 1;
    release(on);
    return NULL;
}

static napi_value init(napi_env env, napi_value exports) {
    const napi_property_descriptor functions[] = {
        {"open", NULL, js_open, NULL, NULL, NULL, napi_default, NULL},
        {"run", NULL, js_run, NULL, NULL, NULL, napi_default, NULL},
        {"close", NULL, js_close, NULL, NULL, NULL, napi_default, NULL},
    };
    napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
    return exports;
}

NAPI_MODULE(segship_node, init)
