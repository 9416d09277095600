package segship;

import java.nio.ByteBuffer;

/** The label of each pixel, at the image's own size. */
public final class Mask {
    private final int height, width, labelBytes;
    final ByteBuffer labels;

    Mask(int height, int width, int labelBytes) {
        this.height = height;
        this.width = width;
        this.labelBytes = labelBytes;
        this.labels = Memory.direct((long) Math.max(0, height) * Math.max(0, width) * labelBytes);
    }

    /** @return in pixels */
    public int height() {
        return height;
    }

    /** @return in pixels */
    public int width() {
        return width;
    }

    /** @return bytes of one label: 1 up to 256 classes, else 2 */
    public int labelBytes() {
        return labelBytes;
    }

    /**
     * @param row from the top
     * @param column from the left
     * @return the label of a pixel
     */
    public int label(int row, int column) {
        if (column < 0 || column >= width) {
            throw new IndexOutOfBoundsException(column);
        }
        int pixel = row * width + column;
        return labelBytes == 1 ? labels.get(pixel) & 0xFF : labels.getShort(2 * pixel) & 0xFFFF;
    }

    /** @return the labels, row by row, in the machine's order of bytes; a view, not a copy */
    public ByteBuffer buffer() {
        return labels.duplicate().order(labels.order());
    }
}
