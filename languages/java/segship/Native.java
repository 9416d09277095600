package segship;

import java.nio.ByteBuffer;

/** The functions of native/segship_jni.c. */
final class Native {
    private Native() {}

    private static final class Library {
        static {
            System.loadLibrary("segship_jni");
        }

        static void load() {}
    }

    /** Load the library, once. */
    static void load() {
        try {
            Library.load();
        } catch (LinkageError error) {
            throw new SegshipException(SegshipException.Kind.MISSING,
                    "the library segship_jni cannot be loaded: put the folder of libsegship_jni.so and libsegship.so into"
                            + " -Djava.library.path (" + error.getMessage() + ")");
        }
    }

    static native long open(String folder, int threads, long maxPixels, String runtime, String device);

    static native void close(long segmentor);

    /** Bytes of a label, planes of scores, bands. */
    static native int[] facts(long segmentor);

    static native String[] classes(long segmentor);

    static native int[] colors(long segmentor);

    static native String engine(long segmentor);

    static native void mask(long segmentor, ByteBuffer pixels, int height, int width, int channels, int order, int type,
            ByteBuffer labels);

    static native void scores(long segmentor, ByteBuffer pixels, int height, int width, int channels, int order,
            int type, ByteBuffer scores);

    static native void overlay(long segmentor, ByteBuffer pixels, int height, int width, int channels, int order,
            int type, ByteBuffer labels, double opacity, ByteBuffer rgb);
}
