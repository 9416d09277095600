"use strict";
// Packages of Segship from Node; index.d.ts tells what each does.

const addon = process.env.SEGSHIP_NODE_ADDON || "./segship_node.node";
const MASK = 1;
const SCORES = 2;
const OVERLAY = 3;
const DTYPES = new Map([
  [Uint8Array, 0],
  [Uint8ClampedArray, 0],
  [Buffer, 0],
  [Uint16Array, 1],
  [Float32Array, 2],
]);

let loaded;

function native() {
  try {
    loaded ??= require(addon);
  } catch (error) {
    throw failure("MISSING", `the addon ${addon} cannot be loaded: build it and put libsegship.so beside it (${error.message})`);
  }
  return loaded;
}

function failure(kind, message) {
  return Object.assign(new Error(message), { code: `SEGSHIP_${kind}_ERROR` });
}

/** What segship.h needs of an image, checked here: a wrong length must not become a read beyond the array. */
function pixelsOf(image) {
  const { data, width, height, order = "rgb" } = image ?? {};
  const dtype = DTYPES.get(data?.constructor);
  if (dtype === undefined || ![width, height].every((side) => Number.isInteger(side) && side > 0 && side < 2 ** 31)) {
    throw failure("INPUT", "an image is {data, width, height}: a Uint8Array, Uint16Array or Float32Array, and two sizes in pixels");
  }
  const channels = image.channels ?? data.length / (width * height);
  if (!Number.isInteger(channels) || channels < 1 || channels * width * height !== data.length) {
    throw failure("INPUT", `the image's array has ${data.length} numbers, which are not ${height}x${width} pixels of ${image.channels ?? "some"} channels`);
  }
  if (order !== "rgb" && order !== "bgr") {
    throw failure("INPUT", `order is 'rgb' or 'bgr', not '${order}'`);
  }
  return { data, width, height, channels, order: order === "bgr" ? 1 : 0, dtype };
}

const OPENED = Symbol("opened");

class Segmentor {
  static async open(folder, options = {}) {
    const { threads = 0, maxPixels = 0, runtime, device } = options;
    const opened = await native().open(String(folder), threads, maxPixels, runtime, device);
    const segmentor = (image) => segmentor.mask(image);
    Object.setPrototypeOf(segmentor, Segmentor.prototype);
    return Object.assign(segmentor, {
      [OPENED]: opened,
      classes: Object.freeze(opened.classes),
      colors: Object.freeze(opened.colors.map((color) => Object.freeze([color >> 16, (color >> 8) & 255, color & 255]))),
      bands: opened.bands,
      engine: opened.engine,
    });
  }

  async mask(image) {
    const { labelBytes } = opened(this);
    const pixels = pixelsOf(image);
    const data = new (labelBytes === 1 ? Uint8Array : Uint16Array)(pixels.width * pixels.height);
    await run(this, MASK, pixels, data);
    return { data, width: pixels.width, height: pixels.height };
  }

  async scores(image) {
    const { scorePlanes: channels } = opened(this);
    const pixels = pixelsOf(image);
    const data = new Float32Array(channels * pixels.width * pixels.height);
    await run(this, SCORES, pixels, data);
    return { data, channels, width: pixels.width, height: pixels.height };
  }

  async overlay(image, mask, opacity = 0.5) {
    const pixels = pixelsOf(image);
    const data = new Uint8Array(3 * pixels.width * pixels.height);
    await run(this, OVERLAY, pixels, data, mask.data, opacity);
    return { data, width: pixels.width, height: pixels.height };
  }

  close() {
    if (this[OPENED]) native().close(this[OPENED].handle);
    this[OPENED] = undefined;
  }
}

function opened(segmentor) {
  if (!segmentor[OPENED]) throw failure("BACKEND", "the segmentor is closed: open the package again");
  return segmentor[OPENED];
}

function run(segmentor, kind, pixels, output, input, opacity = 0) {
  const { data, height, width, channels, order, dtype } = pixels;
  return native().run(opened(segmentor).handle, kind, [data, output, input], height, width, channels, order, dtype, opacity);
}

module.exports.Segmentor = Segmentor;
