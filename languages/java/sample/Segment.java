import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;
import segship.Image;
import segship.Mask;
import segship.Segmentor;
import segship.SegshipException;

/** Segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too. */
public final class Segment {
    private static final long MAX_PIXELS = 100_000_000;

    private Segment() {}

    public static void main(String[] arguments) {
        if (arguments.length != 3 && arguments.length != 4) {
            System.err.println("usage: java PACKAGE IMAGE.ppm MASK.pgm [SCORES]");
            System.exit(2);
        }
        try {
            Image image = readPpm(arguments[1]);
            try (Segmentor segmentor = Segmentor.open(Path.of(arguments[0]))) {
                writePgm(arguments[2], segmentor.mask(image));
                if (arguments.length == 4) {
                    writeScores(arguments[3], segmentor, image);
                }
            }
        } catch (SegshipException error) {
            System.err.println("error: " + error.getMessage());
            System.exit(2);
        } catch (InvalidPathException error) {
            System.err.println("error: " + error.getInput()
                    + " is a name that Java cannot read in this locale: set the variable LC_ALL to C.UTF-8");
            System.exit(2);
        }
    }

    private static Image readPpm(String path) {
        try (InputStream file = new BufferedInputStream(Files.newInputStream(named(path)))) {
            int first = file.read();
            if (first == -1) {
                throw refused(path + " is empty: expected a binary PPM (P6) of 8 bits");
            }
            boolean known = first == 'P' && file.read() == '6';
            long width = known ? number(file) : -1, height = number(file), most = number(file);
            if (width < 1 || height < 1 || most != 255) {
                throw refused(path + " is not an image of a known format: expected a binary PPM (P6) of 8 bits");
            }
            if (width > MAX_PIXELS / height) {
                throw huge(path, width, height);
            }
            byte[] pixels = file.readNBytes((int) (width * height * 3));
            if (pixels.length < width * height * 3) {
                throw refused(path + " cannot be decoded: the PPM file is cut off or damaged; save or copy it again");
            }
            return Image.rgb(pixels, (int) height, (int) width);
        } catch (IOException error) {
            throw refused("cannot read " + path + ": " + reason(error));
        }
    }

    /** In millions, where these tell the image from the limit. */
    private static SegshipException huge(String path, long width, long height) {
        double pixels = (double) width * height;
        boolean millions = pixels > 100.5e6;
        String found = millions
                ? String.format(Locale.ROOT, "%.0f million", Math.rint(pixels / 1e6))
                : String.format(Locale.ROOT, "%,d", (long) pixels);
        return refused(path + " is too large: " + width + "x" + height + " pixels are " + found + ", the limit is "
                + (millions ? "100 million" : "100,000,000") + "; shrink it or raise the limit");
    }

    /** The next number of a header, and the byte behind it; -1: there is none. */
    private static long number(InputStream file) throws IOException {
        int next = file.read();
        while (isSpace(next) || next == '#') {
            if (next == '#') {
                while (next != '\n' && next != -1) {
                    next = file.read();
                }
            } else {
                next = file.read();
            }
        }
        long number = next >= '0' && next <= '9' ? 0 : -1;
        for (; next >= '0' && next <= '9' && number < 1_000_000_000; next = file.read()) {
            number = number * 10 + next - '0';
        }
        return isSpace(next) ? number : -1;
    }

    private static boolean isSpace(int next) {
        return next == ' ' || next == '\t' || next == '\r' || next == '\n';
    }

    private static void writePgm(String path, Mask mask) {
        int bytes = mask.labelBytes();
        String head = "P5\n" + mask.width() + " " + mask.height() + "\n" + (bytes == 1 ? 255 : 65535) + "\n";
        ByteBuffer labels = mask.buffer();
        if (bytes == 2) { // the format's order of bytes
            labels = ByteBuffer.allocate(labels.capacity()).order(ByteOrder.BIG_ENDIAN);
            labels.asShortBuffer().put(mask.buffer().asShortBuffer());
        }
        write(path, head, labels);
    }

    private static void writeScores(String path, Segmentor segmentor, Image image) {
        var scores = segmentor.scores(image);
        ByteBuffer bytes = ByteBuffer.allocate(scores.remaining() * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(scores);
        write(path, "", bytes);
    }

    private static void write(String path, String head, ByteBuffer rest) {
        try (OutputStream file = Files.newOutputStream(named(path))) {
            file.write(head.getBytes(StandardCharsets.US_ASCII));
            WritableByteChannel channel = Channels.newChannel(file);
            channel.write(rest);
        } catch (IOException error) {
            throw refused("cannot write " + path + ": " + reason(error));
        }
    }

    /** A path; no name is not the folder that the program runs in. */
    private static Path named(String path) throws NoSuchFileException {
        if (path.isEmpty()) {
            throw new NoSuchFileException(path);
        }
        return Path.of(path);
    }

    private static String reason(IOException error) {
        if (error instanceof NoSuchFileException) {
            return "No such file or directory";
        }
        if (error instanceof AccessDeniedException) {
            return "Permission denied";
        }
        // What the system says, without the path before it.
        String reason = error instanceof FileSystemException failed ? failed.getReason() : null;
        return reason != null ? reason : String.valueOf(error.getMessage()).replaceFirst("^.*: ", "");
    }

    private static SegshipException refused(String message) {
        return new SegshipException(SegshipException.Kind.INPUT, message);
    }
}
