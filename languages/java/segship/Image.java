package segship;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.util.Objects;

/**
 * An image in memory: rows from the top, the channels of a pixel beside one another. Pixels of a direct buffer, between
 * its position and its limit, are used where they lie; those of an array are copied once.
 */
public final class Image {
    /** The order of the channels. */
    public enum Order {
        /** Red, green, blue. */
        RGB,
        /** Blue, green, red, as {@code BufferedImage.TYPE_3BYTE_BGR} and OpenCV have it. */
        BGR
    }

    final ByteBuffer pixels;
    final int height, width, channels, order, type;

    private Image(Buffer pixels, ByteBuffer bytes, int size, int height, int width, int channels, Order order) {
        long needed = Math.max(0L, height) * Math.max(0, width) * Math.max(0, channels);
        if (pixels.remaining() < needed) {
            throw new SegshipException(SegshipException.Kind.INPUT, "the image's buffer has " + pixels.remaining()
                    + " numbers, " + height + "x" + width + " pixels of " + channels + " channels are " + needed);
        }
        this.pixels = bytes;
        this.height = height;
        this.width = width;
        this.channels = channels;
        this.order = order.ordinal();
        this.type = size == 4 ? 2 : size - 1; // SEGSHIP_UINT8, SEGSHIP_UINT16, SEGSHIP_FLOAT32
    }

    /**
     * @param pixels bytes (height, width, channels)
     * @param height in pixels
     * @param width in pixels
     * @param channels 1: grey; 3; 4: the last is alpha, and is dropped
     * @param order the order of the channels
     * @return the image
     */
    public static Image of(ByteBuffer pixels, int height, int width, int channels, Order order) {
        return new Image(pixels, direct(pixels), 1, height, width, channels, order);
    }

    /**
     * @param pixels bytes (height, width, channels)
     * @param height in pixels
     * @param width in pixels
     * @param channels 1: grey; 3; 4: the last is alpha, and is dropped
     * @param order the order of the channels
     * @return the image
     */
    public static Image of(byte[] pixels, int height, int width, int channels, Order order) {
        return of(ByteBuffer.wrap(pixels), height, width, channels, order);
    }

    /**
     * @param pixels bytes (height, width, 3), red, green, blue
     * @param height in pixels
     * @param width in pixels
     * @return the image
     */
    public static Image rgb(byte[] pixels, int height, int width) {
        return of(pixels, height, width, 3, Order.RGB);
    }

    /**
     * An image for a network that takes all bands as they are stored.
     *
     * @param bands numbers of 16 bits without a sign (height, width, bands)
     * @param height in pixels
     * @param width in pixels
     * @param count number of bands
     * @return the image
     */
    public static Image ofBands(ShortBuffer bands, int height, int width, int count) {
        ByteBuffer copy = Memory.direct(2L * bands.remaining());
        copy.asShortBuffer().put(bands.duplicate());
        return new Image(bands, copy, 2, height, width, count, Order.RGB);
    }

    /**
     * An image for a network that takes all bands as they are stored.
     *
     * @param bands numbers (height, width, bands)
     * @param height in pixels
     * @param width in pixels
     * @param count number of bands
     * @return the image
     */
    public static Image ofBands(FloatBuffer bands, int height, int width, int count) {
        ByteBuffer copy = Memory.direct(4L * bands.remaining());
        copy.asFloatBuffer().put(bands.duplicate());
        return new Image(bands, copy, 4, height, width, count, Order.RGB);
    }

    /** @return in pixels */
    public int height() {
        return height;
    }

    /** @return in pixels */
    public int width() {
        return width;
    }

    private static ByteBuffer direct(ByteBuffer pixels) {
        Objects.requireNonNull(pixels);
        if (pixels.isDirect()) {
            return pixels.slice();
        }
        ByteBuffer copy = Memory.direct(pixels.remaining());
        copy.put(pixels.duplicate()).flip();
        return copy;
    }
}
