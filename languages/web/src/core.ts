// The core in C++, compiled to WebAssembly: it reads manifests, prepares images and makes masks of what engines return.
// The functions and structs are those of segship.h; pointers have four bytes here.

import { CODES, SegshipError } from "./errors.js";

/** An image in memory, as a canvas' `ImageData` is one. */
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

/** The numbers between an image of one size and its mask. */
export interface Plan {
  windows: number;
  channels: number;
  height: number;
  width: number;
  /** Whether the engine prepares images itself: its input is the image, red, green, blue. */
  whole: boolean;
  /** Whether the engine returns labels. */
  decided: boolean;
  inputBytes: number;
  maskBytes: number;
  scoresBytes: number;
}

/** What an engine returned for one window. */
export interface Output {
  data: Numbers;
  dims: readonly number[];
}

/** Arrays whose numbers the core can read. */
export type Numbers = Uint8Array | Int32Array | BigInt64Array | Float32Array;

type Exports = Record<string, (...values: (number | bigint)[]) => number> & { memory: WebAssembly.Memory };

const DTYPES = new Map<Function, number>([
  [Uint8Array, 0],
  [Uint8ClampedArray, 0],
  [Uint16Array, 1],
  [Float32Array, 2],
  [Int32Array, 3],
  [BigInt64Array, 4],
]);
const PLAN_BYTES = 48;
const STRUCT_BYTES = 40; // of segship_image, and of segship_tensor
const UINT8 = 0;

let loading: Promise<Core> | undefined;

/** The core, loaded once. */
export class Core {
  private constructor(private readonly wasm: Exports) {}

  /** Load core.wasm, which lies beside this file, or what `source` is. */
  static load(source?: URL | string | BufferSource): Promise<Core> {
    loading ??= Core.compile(source).catch((error) => {
      loading = undefined;
      throw new SegshipError("SEGSHIP_MISSING_ERROR", `core.wasm cannot be loaded: ${message(error)}`);
    });
    return loading;
  }

  private static async compile(source: URL | string | BufferSource = new URL("core.wasm", import.meta.url)) {
    const imports = {
      env: { emscripten_notify_memory_growth() {} },
      wasi_snapshot_preview1: {
        proc_exit(status: number) {
          throw new SegshipError("SEGSHIP_INTERNAL_ERROR", `the core ended with status ${status}: please report it`);
        },
      },
    };
    const binary = source instanceof URL || typeof source === "string" ? await fetched(source) : source;
    const { instance } = await WebAssembly.instantiate(binary, imports);
    const wasm = instance.exports as Exports;
    wasm._initialize!();
    return new Core(wasm);
  }

  /** Read a manifest. */
  spec(json: Uint8Array): Spec {
    return this.within((room) => {
      const handle = room.reserve(4);
      this.check(this.wasm.segship_spec_parse!(room.copy(json), json.length, handle));
      return new Spec(this, this.wasm, this.view().getUint32(handle, true));
    });
  }

  /** Run with memory that is given back in the end. */
  within<T>(run: (room: Room) => T): T {
    const room = new Room(this.wasm);
    try {
      return run(room);
    } finally {
      room.free();
    }
  }

  /** Raise what a call reported. */
  check(status: number): void {
    if (status === 0) return;
    throw new SegshipError(CODES[status - 1] ?? "SEGSHIP_INTERNAL_ERROR", this.text(this.wasm.segship_last_error!()));
  }

  view(): DataView {
    return new DataView(this.wasm.memory.buffer);
  }

  text(address: number): string {
    if (address === 0) return "";
    const bytes = new Uint8Array(this.wasm.memory.buffer, address);
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }
}

/** Memory of the core, for one call. */
class Room {
  private readonly taken: number[] = [];

  constructor(private readonly wasm: Exports) {}

  reserve(bytes: number): number {
    const address = this.wasm.malloc!(Math.max(bytes, 1)) >>> 0;
    if (address === 0) {
      throw new SegshipError("SEGSHIP_MEMORY_ERROR", `there is no memory for ${bytes} bytes more: take a smaller image`);
    }
    this.taken.push(address);
    return address;
  }

  copy(data: ArrayBufferView): number {
    const address = this.reserve(data.byteLength);
    this.bytes(address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return address;
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.wasm.memory.buffer, address, length);
  }

  free(): void {
    for (const address of this.taken) this.wasm.free!(address);
  }
}

/** What a network expects and means. */
export class Spec {
  /** The name of each label. */
  readonly classes: readonly string[];
  /** The colour of each label: red, green, blue. */
  readonly colors: readonly (readonly [number, number, number])[];
  /** Number of bands where the network takes all of them as they are stored; 0: it takes photographs. */
  readonly bands: number;
  readonly backend: string;
  readonly engineFile: string;
  readonly inputName: string;
  readonly outputName: string;
  private readonly labelBytes: number;
  private readonly scoreChannels: number;

  constructor(
    private readonly core: Core,
    private readonly wasm: Exports,
    private handle: number,
  ) {
    const count = wasm.segship_classes!(handle);
    const labels = Array.from({ length: count }, (_, label) => label);
    this.classes = Object.freeze(labels.map((label) => core.text(wasm.segship_class_name!(handle, label))));
    const colors = labels.map((label) => wasm.segship_class_color!(handle, label));
    this.colors = Object.freeze(
      colors.map((color) => Object.freeze([color >> 16, (color >> 8) & 255, color & 255] as const)),
    );
    this.bands = wasm.segship_bands!(handle);
    const text = (name: string) => core.text(wasm[`segship_${name}`]!(handle));
    this.backend = text("backend");
    this.engineFile = text("engine_file");
    this.inputName = text("input_name");
    this.outputName = text("output_name");
    this.labelBytes = wasm.segship_label_bytes!(handle);
    this.scoreChannels = wasm.segship_score_channels!(handle);
  }

  /** Tell what becomes of an image. */
  plan(height: number, width: number): Plan {
    return this.core.within((room) => {
      const at = room.reserve(PLAN_BYTES);
      this.core.check(this.wasm.segship_plan_image!(this.handle, height, width, at));
      const view = this.core.view();
      const number = (offset: number) => view.getInt32(at + offset, true);
      const bytes = (offset: number) => Number(view.getBigInt64(at + offset, true));
      return {
        windows: number(0),
        channels: number(4),
        height: number(8),
        width: number(12),
        whole: number(16) === UINT8,
        decided: number(20) === 1,
        inputBytes: bytes(24),
        maskBytes: bytes(32),
        scoresBytes: bytes(40),
      };
    });
  }

  /** Make the engine's input of an image: all windows, one after the other. */
  prepare(image: Image, plan: Plan): Uint8Array | Float32Array {
    return this.core.within((room) => {
      const at = room.reserve(plan.inputBytes);
      this.core.check(this.wasm.segship_prepare!(this.handle, this.image(room, image), at, plan.inputBytes));
      const bytes = room.bytes(at, plan.inputBytes).slice();
      return plan.whole ? bytes : new Float32Array(bytes.buffer);
    });
  }

  /** Make the mask of what the engine returned for each window. */
  mask(outputs: readonly Output[], height: number, width: number, plan: Plan): Mask {
    const bytes = this.decide("segship_decide", outputs, height, width, plan, plan.maskBytes);
    return { data: this.labelBytes === 1 ? bytes : new Uint16Array(bytes.buffer), width, height };
  }

  /** Make the scores of what the engine returned for each window. */
  scores(outputs: readonly Output[], height: number, width: number, plan: Plan): Scores {
    const bytes = this.decide("segship_decide_scores", outputs, height, width, plan, plan.scoresBytes);
    return { data: new Float32Array(bytes.buffer), channels: this.scoreChannels, width, height };
  }

  /** Draw a mask's colours over its image. */
  overlay(image: Image, mask: Mask, opacity: number): Uint8Array {
    return this.core.within((room) => {
      const length = 3 * image.width * image.height;
      const [labels, at] = [room.copy(mask.data), room.reserve(length)];
      const given = [this.image(room, image), labels, mask.data.byteLength, opacity, at, length];
      this.core.check(this.wasm.segship_overlay!(this.handle, ...given));
      return room.bytes(at, length).slice();
    });
  }

  close(): void {
    if (this.handle) this.wasm.segship_spec_free!(this.handle);
    this.handle = 0;
  }

  private decide(name: string, outputs: readonly Output[], height: number, width: number, plan: Plan, length: number) {
    return this.core.within((room) => {
      const first = outputs[0]!;
      const each = first.data.byteLength;
      const start = room.reserve(each * outputs.length);
      outputs.forEach(({ data }, index) => {
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        room.bytes(start + each * index, each).set(bytes);
      });
      const tensor = room.reserve(STRUCT_BYTES);
      const [rows, columns] = first.dims.slice(-2) as [number, number];
      const channels = plan.decided ? 1 : first.dims.at(-3) ?? 0;
      const view = this.core.view();
      view.setUint32(tensor, start, true);
      view.setBigInt64(tensor + 8, BigInt(each * outputs.length), true);
      [DTYPES.get(first.data.constructor) ?? -1, outputs.length, channels, rows, columns].forEach((value, index) =>
        view.setInt32(tensor + 16 + 4 * index, value, true),
      );
      const at = room.reserve(length);
      this.core.check(this.wasm[name]!(this.handle, height, width, tensor, at, length));
      return room.bytes(at, length).slice();
    });
  }

  /** A segship_image in the core's memory. */
  private image(room: Room, image: Image): number {
    const { data, channels, order, dtype } = pixelsOf(image);
    const [pixels, at] = [room.copy(data), room.reserve(STRUCT_BYTES)];
    const view = this.core.view();
    view.setUint32(at, pixels, true);
    view.setBigInt64(at + 8, 0n, true);
    [image.height, image.width, channels, order, dtype].forEach((value, index) =>
      view.setInt32(at + 16 + 4 * index, value, true),
    );
    return at;
  }
}

/** Check an image: a wrong length must not become a read beyond the array. */
export function pixelsOf(image: Image) {
  const { data, width, height, order = "rgb" } = image ?? {};
  const dtype = DTYPES.get(data?.constructor) ?? -1;
  if (dtype < 0 || dtype > 2 || ![width, height].every((side) => Number.isInteger(side) && side > 0 && side < 2 ** 31)) {
    const expected = "a Uint8Array, Uint16Array or Float32Array, and two sizes in pixels";
    throw new SegshipError("SEGSHIP_INPUT_ERROR", `an image is {data, width, height}: ${expected}`);
  }
  const channels = image.channels ?? data.length / (width * height);
  if (!Number.isInteger(channels) || channels < 1 || channels * width * height !== data.length) {
    const found = `the image's array has ${data.length} numbers`;
    const wanted = `${height}x${width} pixels of ${image.channels ?? "some"} channels`;
    throw new SegshipError("SEGSHIP_INPUT_ERROR", `${found}, which are not ${wanted}`);
  }
  if (order !== "rgb" && order !== "bgr") {
    throw new SegshipError("SEGSHIP_INPUT_ERROR", `order is 'rgb' or 'bgr', not '${order}'`);
  }
  return { data, channels, order: order === "bgr" ? 1 : 0, dtype };
}

/** What an error says, in one line. */
export function message(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
}

async function fetched(address: URL | string): Promise<ArrayBuffer> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answers ${response.status}`);
  return response.arrayBuffer();
}
