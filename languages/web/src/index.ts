/**
 * Packages of Segship in a page.
 *
 *     const segmentor = await Segmentor.open("package/");
 *     const mask = await segmentor(context.getImageData(0, 0, width, height));
 *
 * The mask is the same as in Python, label for label.
 */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import { Core, message, pixelsOf, type Image, type Mask, type Numbers, type Output, type Plan, type Scores, type Spec } from "./core.js";
import { SegshipError } from "./errors.js";
import { namesIn, openFiles, requireSealed, type Files, type Source } from "./files.js";

export type { Image, Mask, Scores } from "./core.js";
export type { Source } from "./files.js";
export { SegshipError, type ErrorCode } from "./errors.js";

const MAX_PIXELS = 100_000_000;

/** Bytes (height, width, 3), red, green, blue. */
export interface Overlay {
  data: Uint8Array;
  width: number;
  height: number;
}

/** What of onnxruntime-web is used. */
export interface Runtime {
  env: { versions?: { web?: string }; wasm: { numThreads?: number } };
  InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: new (type: "float32" | "uint8", data: Float32Array | Uint8Array, dims: readonly number[]) => Tensor;
}

/** How a package is opened. */
export interface Options {
  /** What the engine runs on: the processor (`"wasm"`, the default) or the graphics processor (`"webgpu"`). */
  engine?: "wasm" | "webgpu";
  /** Threads of the processor; more than one needs a page that is cross-origin isolated. */
  threads?: number;
  /** Images with more pixels are refused; left out: 100 million. */
  maxPixels?: number;
  /** onnxruntime-web, where it is not to be imported by its own name. */
  runtime?: Runtime;
  /** core.wasm, where it does not lie beside this file. */
  core?: URL | string | BufferSource;
  /** What messages call the package. */
  name?: string;
}

/** An opened package. Calls may overlap; the engine takes them one after the other. */
export interface Segmentor {
  /** The mask of an image; the same as `mask`. */
  (image: Image): Promise<Mask>;
  /** The label of each pixel, at the image's own size. */
  mask(image: Image): Promise<Mask>;
  /** The probability of each class at each pixel, at the image's own size. */
  scores(image: Image): Promise<Scores>;
  /** The mask's colours over its image; opacity 0: the image alone, 1: the colours alone. */
  overlay(image: Image, mask: Mask, opacity?: number): Overlay;
  /** Free the engine's memory, once the calls that are under way have ended. */
  close(): Promise<void>;
  /** The name of each label. */
  readonly classes: readonly string[];
  /** The colour of each label: red, green, blue. */
  readonly colors: readonly (readonly [number, number, number])[];
  /** Number of bands where the network takes all of them as they are stored; 0: it takes photographs. */
  readonly bands: number;
  /** The engine that runs, with its version. */
  readonly engine: string;
}

export const Segmentor = {
  /**
   * Open a package: read its manifest, check the digest of every file, open its engine.
   *
   * @param source The address of the folder that `segship export` wrote, or its files as a person chose or dropped them.
   * @throws SegshipError The package is damaged or newer, or its engine cannot run in a page.
   */
  async open(source: Source, options: Options = {}): Promise<Segmentor> {
    const [core, files] = await Promise.all([Core.load(options.core), openFiles(source, options.name)]);
    const spec = parsed(core, files);
    try {
      await requireSealed(files);
      return segmentorOf(await Opened.start(spec, files, options));
    } catch (error) {
      spec.close();
      throw error;
    }
  },
};

/** The manifest; what the core says of it names the file. */
function parsed(core: Core, files: Files): Spec {
  try {
    return core.spec(files.manifest);
  } catch (error) {
    if (!(error instanceof SegshipError)) throw error;
    const told = error.message.replace(/^manifest\.json/, `${files.name}/manifest.json`);
    throw new SegshipError(error.code, told.replace(/^the package/, files.name));
  }
}

function segmentorOf(opened: Opened): Segmentor {
  const mask = (image: Image) => opened.mask(image);
  return Object.assign((image: Image) => mask(image), {
    mask,
    scores: (image: Image) => opened.scores(image),
    overlay: (image: Image, found: Mask, opacity = 0.5) => opened.overlay(image, found, opacity),
    close: () => opened.close(),
    classes: opened.spec.classes,
    colors: opened.spec.colors,
    bands: opened.spec.bands,
    engine: opened.engine,
  });
}

/** A package whose engine runs. */
class Opened {
  private last: Promise<unknown> = Promise.resolve();
  private closed = false;

  private constructor(
    readonly spec: Spec,
    readonly engine: string,
    private readonly session: InferenceSession,
    private readonly runtime: Runtime,
    private readonly maxPixels: number,
  ) {}

  static async start(spec: Spec, files: Files, options: Options): Promise<Opened> {
    if (spec.backend !== "onnxruntime") {
      const why = `a page runs packages for onnxruntime, and ${files.name} is for ${spec.backend}`;
      throw new SegshipError("SEGSHIP_UNSUPPORTED_ERROR", `${why}: export it with --target onnxruntime_dynamic`);
    }
    const contents = new Map<string, Uint8Array>();
    for (const name of namesIn(files.manifest)) contents.set(name, await files.read(name));
    const engine = options.engine ?? "wasm";
    const runtime = options.runtime ?? (await imported(engine));
    if (options.threads !== undefined) runtime.env.wasm.numThreads = options.threads;
    const session = await created(runtime, engine, files.name, spec.engineFile, contents);
    const version = runtime.env.versions?.web ?? "";
    return new Opened(spec, `onnxruntime-web ${version} on ${engine}`, session, runtime, options.maxPixels ?? MAX_PIXELS);
  }

  async mask(image: Image): Promise<Mask> {
    const [outputs, plan] = await this.run(image);
    return this.spec.mask(outputs, image.height, image.width, plan);
  }

  async scores(image: Image): Promise<Scores> {
    const [outputs, plan] = await this.run(image);
    return this.spec.scores(outputs, image.height, image.width, plan);
  }

  overlay(image: Image, mask: Mask, opacity: number): Overlay {
    this.require();
    pixelsOf(image);
    return { data: this.spec.overlay(image, mask, opacity), width: image.width, height: image.height };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.last.catch(() => {});
    await this.session.release();
    this.spec.close();
  }

  /** What the engine returns for each window of an image. */
  private run(image: Image): Promise<[Output[], Plan]> {
    const work = async (): Promise<[Output[], Plan]> => {
      pixelsOf(image);
      const { width, height } = image;
      if (width * height > this.maxPixels) throw hugeImage(width, height, this.maxPixels);
      const plan = this.spec.plan(height, width);
      const input = this.spec.prepare(image, plan);
      const outputs: Output[] = [];
      const each = input.length / plan.windows;
      for (let window = 0; window < plan.windows; ++window) {
        outputs.push(await this.infer(input.subarray(each * window, each * (window + 1)), plan));
      }
      return [outputs, plan];
    };
    this.require();
    const result = this.last.catch(() => {}).then(work);
    this.last = result;
    return result;
  }

  private async infer(input: Float32Array | Uint8Array, plan: Plan): Promise<Output> {
    const { channels, height, width } = plan;
    const dims = plan.whole ? [height, width, channels] : [1, channels, height, width];
    try {
      const tensor = new this.runtime.Tensor(plan.whole ? "uint8" : "float32", input, dims);
      const found = (await this.session.run({ [this.spec.inputName]: tensor }))[this.spec.outputName];
      if (found === undefined) throw new Error(`it returns no ${this.spec.outputName}`);
      return { data: (await found.getData()) as Numbers, dims: found.dims };
    } catch (error) {
      throw new SegshipError("SEGSHIP_BACKEND_ERROR", `ONNX Runtime cannot run the network: ${message(error)}`);
    }
  }

  private require(): void {
    if (this.closed) throw new SegshipError("SEGSHIP_BACKEND_ERROR", "the segmentor is closed: open the package again");
  }
}

function hugeImage(width: number, height: number, limit: number): SegshipError {
  const [found, most] = apart(width * height, limit);
  const text = `${width}x${height} pixels are ${found}, the limit is ${most}; shrink it or raise the limit`;
  return new SegshipError("SEGSHIP_INPUT_ERROR", `the image is too large: ${text}`);
}

/** Two counts in millions, where these tell the one from the other. */
function apart(...counts: [number, number]): string[] {
  const millions = counts.map((count) => `${(count / 1e6).toFixed(0)} million`);
  if (millions[0] === millions[1] || counts[1] < 1e6) return counts.map((count) => count.toLocaleString("en-US"));
  return millions;
}

async function imported(engine: "wasm" | "webgpu"): Promise<Runtime> {
  if (engine === "webgpu" && !("gpu" in navigator)) {
    const text = 'this browser has no WebGPU: open the package with {engine: "wasm"}';
    throw new SegshipError("SEGSHIP_MISSING_ERROR", text);
  }
  try {
    return (await (engine === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"))) as Runtime;
  } catch (error) {
    const text = `onnxruntime-web cannot be imported: npm install onnxruntime-web (${message(error)})`;
    throw new SegshipError("SEGSHIP_MISSING_ERROR", text);
  }
}

/** The engine; weights that lie beside the model are handed over with it. */
async function created(runtime: Runtime, engine: string, folder: string, name: string, contents: Map<string, Uint8Array>) {
  const model = contents.get(name);
  const beside = [...contents].filter(([other]) => other !== name && !other.endsWith(".json"));
  const externalData = beside.map(([path, data]) => ({ path, data }));
  const options = { executionProviders: [engine], ...(externalData.length ? { externalData } : {}) };
  try {
    if (model === undefined) throw new Error("the package lists no such file");
    return await runtime.InferenceSession.create(model, options);
  } catch (error) {
    throw new SegshipError("SEGSHIP_BACKEND_ERROR", `ONNX Runtime cannot open ${folder}/${name}: ${message(error)}`);
  }
}
