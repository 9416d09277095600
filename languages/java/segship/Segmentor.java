package segship;

import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.LongConsumer;

/**
 * An opened package: it makes masks of images. Any number of threads may use one at the same time. Close it, as by
 * try-with-resources, to give its memory back at once; closing waits for the calls that are under way.
 *
 * <pre>{@code
 * try (Segmentor segmentor = Segmentor.open(Path.of("package"))) {
 *     Mask mask = segmentor.mask(Image.rgb(pixels, height, width));
 *     System.out.println(segmentor.classes().get(mask.label(0, 0)));
 * }
 * }</pre>
 */
public final class Segmentor implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();

    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private final Handle handle;
    private final Cleaner.Cleanable cleanable;
    private final List<String> classes;
    private final List<Integer> colors;
    private final int labelBytes, scoreChannels, bands;
    private final String engine;

    /** Apart from the segmentor, so that the cleaner does not keep it. */
    private static final class Handle implements Runnable {
        private long address;

        @Override
        public void run() {
            if (address != 0) {
                Native.close(address);
            }
            address = 0;
        }
    }

    private Segmentor(long address) {
        handle = new Handle();
        handle.address = address;
        cleanable = CLEANER.register(this, handle);
        int[] facts = Native.facts(address);
        labelBytes = facts[0];
        scoreChannels = facts[1];
        bands = facts[2];
        classes = List.of(Native.classes(address));
        colors = java.util.Arrays.stream(Native.colors(address)).boxed().toList();
        engine = Native.engine(address);
    }

    /**
     * Open a package: the folder that {@code segship export} wrote.
     *
     * @param folder where it lies
     * @return the segmentor
     * @throws SegshipException the package is damaged, or its engine cannot be opened here
     */
    public static Segmentor open(Path folder) {
        return open(folder, new Options());
    }

    /**
     * @param folder where the package lies
     * @param options how it is opened
     * @return the segmentor
     * @throws SegshipException the package is damaged, or its engine cannot be opened here
     */
    public static Segmentor open(Path folder, Options options) {
        Native.load();
        return new Segmentor(Native.open(
                folder.toString(), options.threads, options.maxPixels, options.runtime, options.device));
    }

    /** @return the name of each label */
    public List<String> classes() {
        return classes;
    }

    /** @return the colour of each label as 0xRRGGBB */
    public List<Integer> colors() {
        return colors;
    }

    /** @return the number of bands where the network takes all of them as they are stored; 0: it takes photographs */
    public int bands() {
        return bands;
    }

    /** @return the engine that runs, with its version and where it was loaded from */
    public String engine() {
        return engine;
    }

    /**
     * The label of each pixel.
     *
     * @param image of any size
     * @return the labels at the image's own size
     * @throws SegshipException the image cannot be used
     */
    public Mask mask(Image image) {
        Mask mask = new Mask(image.height, image.width, labelBytes);
        run(address -> Native.mask(address, image.pixels, image.height, image.width, image.channels, image.order,
                image.type, mask.labels));
        return mask;
    }

    /**
     * The probability of each class at each pixel, 0-1.
     *
     * @param image of any size
     * @return (classes, height, width), row by row; one plane for a binary network with one output
     * @throws SegshipException the image cannot be used, or the package returns labels alone
     */
    public FloatBuffer scores(Image image) {
        ByteBuffer scores = Memory.direct(4L * scoreChannels * image.height * image.width);
        run(address -> Native.scores(address, image.pixels, image.height, image.width, image.channels, image.order,
                image.type, scores));
        return scores.asFloatBuffer();
    }

    /**
     * The mask's colours over its image.
     *
     * @param image a photograph
     * @param mask its mask
     * @param opacity 0: the image alone; 1: the colours alone
     * @return bytes (height, width, 3), red, green, blue
     */
    public ByteBuffer overlay(Image image, Mask mask, double opacity) {
        ByteBuffer rgb = Memory.direct(3L * image.height * image.width);
        run(address -> Native.overlay(address, image.pixels, image.height, image.width, image.channels, image.order,
                image.type, mask.labels, opacity, rgb));
        return rgb;
    }

    /** Free the engine's memory; twice is once. */
    @Override
    public void close() {
        Lock writing = lock.writeLock();
        writing.lock();
        try {
            cleanable.clean();
        } finally {
            writing.unlock();
        }
    }

    private void run(LongConsumer call) {
        Lock reading = lock.readLock();
        reading.lock();
        try {
            if (handle.address == 0) {
                throw new IllegalStateException("the segmentor is closed: open the package again");
            }
            call.accept(handle.address);
        } finally {
            reading.unlock();
            Reference.reachabilityFence(this);
        }
    }
}
