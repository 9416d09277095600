/** Packages of Segship from Node. Errors carry a `code`: `SEGSHIP_INPUT_ERROR`, `..._SIZE_`, `..._PACKAGE_`,
 * `..._BACKEND_`, `..._MISSING_`, `..._UNSUPPORTED_`, `..._MEMORY_`, `..._INTERNAL_`; the message is one line that says
 * what was found, what was expected and what to do. */

/** An image in memory, as a canvas' `ImageData` is one; nothing is copied, so leave it alone until the promise ends. */
export interface Image {
  /** Rows from the top, the channels of a pixel beside one another. */
  data: Uint8Array | Uint8ClampedArray | Uint16Array | Float32Array;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** 1: grey; 3; 4: the last is alpha, and is dropped; or the network's bands. Left out: as the array's length says. */
  channels?: number;
  /** Left out: `"rgb"`. */
  order?: "rgb" | "bgr";
}

/** The label of each pixel, row by row, at the image's own size. */
export interface Mask {
  /** `Uint16Array` where there are more than 256 classes. */
  data: Uint8Array | Uint16Array;
  width: number;
  height: number;
}

/** The probability, 0-1, of each class at each pixel: `channels` planes, row by row. */
export interface Scores {
  data: Float32Array;
  /** One for each class; 1 for a binary network with one output. */
  channels: number;
  width: number;
  height: number;
}

/** Bytes (height, width, 3), red, green, blue. */
export interface Overlay {
  data: Uint8Array;
  width: number;
  height: number;
}

/** How a package is opened; what is left out is chosen by the library. */
export interface Options {
  /** Threads of the engine. */
  threads?: number;
  /** Images with more pixels are refused; left out: 100 million. */
  maxPixels?: number;
  /** The engine's library or its folder; left out: it is searched. */
  runtime?: string;
  /** What the engine runs on; left out: cpu. */
  device?: string;
}

/** An opened package. Calls run beside JavaScript's thread, several at the same time. */
export interface Segmentor {
  /** The mask of an image; the same as `mask`. */
  (image: Image): Promise<Mask>;
  mask(image: Image): Promise<Mask>;
  scores(image: Image): Promise<Scores>;
  /** The mask's colours over its image; opacity 0: the image alone, 1: the colours alone. */
  overlay(image: Image, mask: Mask, opacity?: number): Promise<Overlay>;
  /** Free the engine's memory, once the calls that are under way have ended. */
  close(): void;
  /** The name of each label. */
  readonly classes: readonly string[];
  /** The colour of each label: red, green, blue. */
  readonly colors: readonly (readonly [number, number, number])[];
  /** Number of bands where the network takes all of them as they are stored; 0: it takes photographs. */
  readonly bands: number;
  /** The engine that runs, with its version and where it was loaded from. */
  readonly engine: string;
}

export const Segmentor: {
  /** Open a package: the folder that `segship export` wrote. */
  open(folder: string, options?: Options): Promise<Segmentor>;
};
