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
        try {
            return ByteBuffer.allocateDirect((int) Math.max(0, bytes)).order(ByteOrder.nativeOrder());
        } catch (OutOfMemoryError error) {
            throw new SegshipException(SegshipException.Kind.MEMORY, "there is no room for " + bytes
                    + " bytes: cut the image into pieces, or raise the limit by java -XX:MaxDirectMemorySize");
        }
    }
}
