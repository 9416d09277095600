package segship;

/** How a package is opened; what is left alone is chosen by the library. */
public final class Options {
    int threads;
    long maxPixels;
    String runtime, device;

    /**
     * @param threads of the engine; 0: its own choice
     * @return this
     */
    public Options threads(int threads) {
        this.threads = threads;
        return this;
    }

    /**
     * @param maxPixels images with more pixels are refused; 0: 100 million
     * @return this
     */
    public Options maxPixels(long maxPixels) {
        this.maxPixels = maxPixels;
        return this;
    }

    /**
     * @param runtime the engine's library or its folder; null: it is searched
     * @return this
     */
    public Options runtime(String runtime) {
        this.runtime = runtime;
        return this;
    }

    /**
     * @param device what the engine runs on; null: cpu
     * @return this
     */
    public Options device(String device) {
        this.device = device;
        return this;
    }
}
