package segship;

/** An error a user can mend: the message says what was found, what was expected and what to do. */
public final class SegshipException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What kind of error it is; the same kinds as in Python. */
    public enum Kind {
        /** An image, buffer or argument cannot be used. */
        INPUT,
        /** The network cannot take what the image becomes. */
        SIZE,
        /** The package is damaged, incomplete, or newer than this library. */
        PACKAGE,
        /** The engine cannot be opened or run. */
        BACKEND,
        /** A library is not on this machine. */
        MISSING,
        /** Understood, but not provided. */
        UNSUPPORTED,
        /** There is not enough memory. */
        MEMORY,
        /** A fault of the library. */
        INTERNAL
    }

    private final Kind kind;

    /**
     * @param kind what kind of error it is
     * @param message one line
     */
    public SegshipException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    /** Called by the library: its status, which counts the kinds from 1. */
    SegshipException(int status, String message) {
        this(Kind.values()[Math.min(Math.max(status, 1), Kind.values().length) - 1], message);
    }

    /** @return what kind of error it is */
    public Kind kind() {
        return kind;
    }
}
