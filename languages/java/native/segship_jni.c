/* What segship.Native declares, on segship.h. Strings cross as UTF-16, because JNI's own UTF-8 is not the standard's. */
#include <jni.h>
#include <segship/segship.h>
#include <stdlib.h>
#include <string.h>

#define JAVA(type, name) JNIEXPORT type JNICALL Java_segship_Native_##name

/* A new Java string; NULL with an exception pending. */
static jstring to_java(JNIEnv *env, const char *text) {
    jsize length = (jsize)strlen(text);
    jclass string = (*env)->FindClass(env, "java/lang/String");
    jbyteArray bytes = (*env)->NewByteArray(env, length);
    jstring charset = (*env)->NewStringUTF(env, "UTF-8");
    if (!string || !bytes || !charset) return NULL;
    (*env)->SetByteArrayRegion(env, bytes, 0, length, (const jbyte *)text);
    jmethodID make = (*env)->GetMethodID(env, string, "<init>", "([BLjava/lang/String;)V");
    return (*env)->NewObject(env, string, make, bytes, charset);
}

/* A copy in UTF-8, to be freed; NULL for null, and with an exception pending. */
static char *from_java(JNIEnv *env, jstring text) {
    if (!text) return NULL;
    jclass string = (*env)->FindClass(env, "java/lang/String");
    jmethodID encode = (*env)->GetMethodID(env, string, "getBytes", "(Ljava/lang/String;)[B");
    jbyteArray bytes = (*env)->CallObjectMethod(env, text, encode, (*env)->NewStringUTF(env, "UTF-8"));
    if (!bytes) return NULL;
    jsize length = (*env)->GetArrayLength(env, bytes);
    char *copy = calloc((size_t)length + 1, 1);
    if (copy) (*env)->GetByteArrayRegion(env, bytes, 0, length, (jbyte *)copy);
    return copy;
}

static void check(JNIEnv *env, segship_status status) {
    if (status == SEGSHIP_OK) return;
    jclass kind = (*env)->FindClass(env, "segship/SegshipException");
    jstring message = to_java(env, segship_last_error());
    if (!kind || !message) return;
    jmethodID make = (*env)->GetMethodID(env, kind, "<init>", "(ILjava/lang/String;)V");
    (*env)->Throw(env, (jthrowable)(*env)->NewObject(env, kind, make, (jint)status, message));
}

static segship_segmentor *opened(jlong address) { return (segship_segmentor *)(intptr_t)address; }

static const segship_spec *spec_of(jlong address) { return segship_segmentor_spec(opened(address)); }

static segship_image image_of(JNIEnv *env, jobject pixels, jint height, jint width, jint channels, jint order, jint type) {
    segship_image image = {(*env)->GetDirectBufferAddress(env, pixels), 0, height, width, channels, order, type};
    return image;
}

JAVA(jlong, open)(JNIEnv *env, jclass self, jstring folder, jint threads, jlong max_pixels, jstring runtime, jstring device) {
    (void)self;
    segship_segmentor *segmentor = NULL;
    segship_options options;
    segship_options_init(&options);
    options.threads = threads;
    options.max_pixels = max_pixels;
    char *package = from_java(env, folder), *library = from_java(env, runtime), *place = from_java(env, device);
    options.runtime = library;
    options.device = place;
    if (!(*env)->ExceptionCheck(env)) {
        segship_status status = segship_require(SEGSHIP_VERSION, sizeof(void *));
        check(env, status == SEGSHIP_OK ? segship_open(package, &options, &segmentor) : status);
    }
    free(package);
    free(library);
    free(place);
    return (jlong)(intptr_t)segmentor;
}

JAVA(void, close)(JNIEnv *env, jclass self, jlong address) {
    (void)env, (void)self;
    segship_close(opened(address));
}

JAVA(jintArray, facts)(JNIEnv *env, jclass self, jlong address) {
    (void)self;
    const segship_spec *spec = spec_of(address);
    const jint facts[] = {segship_label_bytes(spec), segship_score_channels(spec), segship_bands(spec)};
    jintArray array = (*env)->NewIntArray(env, 3);
    if (array) (*env)->SetIntArrayRegion(env, array, 0, 3, facts);
    return array;
}

JAVA(jobjectArray, classes)(JNIEnv *env, jclass self, jlong address) {
    (void)self;
    const segship_spec *spec = spec_of(address);
    jsize count = segship_classes(spec);
    jobjectArray names = (*env)->NewObjectArray(env, count, (*env)->FindClass(env, "java/lang/String"), NULL);
    for (jsize label = 0; names && label < count; label++) {
        if ((*env)->PushLocalFrame(env, 8)) return NULL;
        jobject name = (*env)->PopLocalFrame(env, to_java(env, segship_class_name(spec, label)));
        if (!name) return NULL;
        (*env)->SetObjectArrayElement(env, names, label, name);
        (*env)->DeleteLocalRef(env, name);
    }
    return names;
}

JAVA(jintArray, colors)(JNIEnv *env, jclass self, jlong address) {
    (void)self;
    const segship_spec *spec = spec_of(address);
    jsize count = segship_classes(spec);
    jintArray colors = (*env)->NewIntArray(env, count);
    for (jsize label = 0; colors && label < count; label++) {
        jint color = segship_class_color(spec, label);
        (*env)->SetIntArrayRegion(env, colors, label, 1, &color);
    }
    return colors;
}

JAVA(jstring, engine)(JNIEnv *env, jclass self, jlong address) {
    (void)self;
    return to_java(env, segship_segmentor_engine(opened(address)));
}

JAVA(void, mask)(JNIEnv *env, jclass self, jlong address, jobject pixels, jint height, jint width, jint channels,
                 jint order, jint type, jobject labels) {
    (void)self;
    segship_image image = image_of(env, pixels, height, width, channels, order, type);
    check(env, segship_mask(opened(address), &image, (*env)->GetDirectBufferAddress(env, labels),
                            (size_t)(*env)->GetDirectBufferCapacity(env, labels)));
}

JAVA(void, scores)(JNIEnv *env, jclass self, jlong address, jobject pixels, jint height, jint width, jint channels,
                   jint order, jint type, jobject scores) {
    (void)self;
    segship_image image = image_of(env, pixels, height, width, channels, order, type);
    check(env, segship_scores(opened(address), &image, (*env)->GetDirectBufferAddress(env, scores),
                              (size_t)(*env)->GetDirectBufferCapacity(env, scores)));
}

JAVA(void, overlay)(JNIEnv *env, jclass self, jlong address, jobject pixels, jint height, jint width, jint channels,
                    jint order, jint type, jobject labels, jdouble opacity, jobject rgb) {
    (void)self;
    segship_image image = image_of(env, pixels, height, width, channels, order, type);
    check(env, segship_overlay(spec_of(address), &image, (*env)->GetDirectBufferAddress(env, labels),
                               (size_t)(*env)->GetDirectBufferCapacity(env, labels), opacity,
                               (*env)->GetDirectBufferAddress(env, rgb),
                               (size_t)(*env)->GetDirectBufferCapacity(env, rgb)));
}
