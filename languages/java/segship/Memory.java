package segship;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Memory that the library reads and writes where it lies. */
final class Memory {
    private Memory() {}

    static ByteBuffer direct(long bytes) {
        if (bytes > Integer.MAX_VALUE) {
            throw new SegshipException(SegshipException.Kind.INPUT,
                    bytes + " bytes do not fit into one buffer: cut the image into pieces");
        }
        return ByteBuffer.allocateDirect((int) Math.max(0, bytes)).order(ByteOrder.nativeOrder());
    }
}
