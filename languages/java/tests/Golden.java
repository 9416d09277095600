import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import segship.Image;
import segship.Mask;
import segship.Options;
import segship.Segmentor;
import segship.SegshipException;

/** Golden VECTORS: one golden package, in every form that an image has. */
public final class Golden {
    private static final int HEIGHT = 61, WIDTH = 83;

    private Golden() {}

    public static void main(String[] arguments) throws IOException {
        Path vectors = Path.of(arguments[0]), folder = vectors.resolve("packages/whole");
        byte[] pixels = tail(vectors.resolve("images/61x83x3_uint8.ppm"), HEIGHT * WIDTH * 3);
        byte[] labels = tail(vectors.resolve("packages/whole.mask.pgm"), HEIGHT * WIDTH);
        byte[] turned = new byte[pixels.length], alpha = new byte[HEIGHT * WIDTH * 4];
        for (int place = 0; place < pixels.length; place++) {
            turned[place - place % 3 + 2 - place % 3] = pixels[place];
            alpha[place / 3 * 4 + place % 3] = pixels[place];
        }
        ByteBuffer direct = ByteBuffer.allocateDirect(pixels.length + 7).position(7).put(pixels).position(7);
        List<Image> forms = List.of(Image.rgb(pixels, HEIGHT, WIDTH),
                Image.of(turned, HEIGHT, WIDTH, 3, Image.Order.BGR), Image.of(alpha, HEIGHT, WIDTH, 4, Image.Order.RGB),
                Image.of(direct, HEIGHT, WIDTH, 3, Image.Order.RGB));
        Segmentor kept;
        try (Segmentor segmentor = Segmentor.open(folder, new Options().threads(1))) {
            kept = segmentor;
            expect(segmentor.classes().size() == 19 && segmentor.classes().get(3).equals("class 3"), "classes");
            expect(segmentor.colors().get(0) == 0x800000, "colours");
            Stream.concat(forms.stream(), forms.stream()).parallel().forEach(
                    form -> expect(Arrays.equals(bytes(segmentor.mask(form).buffer()), labels), "mask"));
            expect(segmentor.scores(forms.get(0)).remaining() == 19 * HEIGHT * WIDTH, "scores");
            Mask mask = segmentor.mask(forms.get(0));
            expect(mask.label(HEIGHT - 1, WIDTH - 1) == labels[labels.length - 1], "label");
            expect(Arrays.equals(bytes(segmentor.overlay(forms.get(0), mask, 0)), pixels), "overlay");
            Image small = Image.rgb(new byte[3], 1, 1);
            fails(SegshipException.Kind.INPUT, () -> segmentor.overlay(forms.get(0), segmentor.mask(small), 0.5));
            fails(SegshipException.Kind.INPUT, () -> Image.rgb(new byte[26], 3, 3));
            fails(SegshipException.Kind.INPUT, () -> segmentor.mask(Image.rgb(new byte[0], 0, 0)));
        }
        kept.close();
        try {
            kept.mask(forms.get(0));
            expect(false, "closed");
        } catch (IllegalStateException closed) {
            expect(closed.getMessage().contains("closed"), closed.getMessage());
        }
        fails(SegshipException.Kind.PACKAGE, () -> Segmentor.open(Path.of("nowhere")));
    }

    private static byte[] tail(Path path, int count) throws IOException {
        byte[] data = Files.readAllBytes(path);
        return Arrays.copyOfRange(data, data.length - count, data.length);
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.get(copy);
        return copy;
    }

    private static void fails(SegshipException.Kind kind, Runnable action) {
        try {
            action.run();
        } catch (SegshipException error) {
            expect(error.kind() == kind && error.getMessage().length() > 20, error.kind() + ": " + error.getMessage());
            return;
        }
        expect(false, "no error: " + kind);
    }

    private static void expect(boolean met, String what) {
        if (!met) {
            throw new AssertionError(what);
        }
    }
}
