// The core in WebAssembly on the golden vectors: digests of inputs, masks and scores.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = resolve(fileURLToPath(import.meta.url), "../../../..");
const dist = process.env.SEGSHIP_WEB_OUT ?? resolve(fileURLToPath(import.meta.url), "../../dist");
const vectors = join(root, "spec/vectors");
const { Core } = await import(pathToFileURL(join(dist, "core.js")));
const core = await Core.load(readFileSync(join(dist, "core.wasm")));
const TYPES = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };

/** The last numbers of a file; PPM, PGM and raw ones alike, for what is before them is shorter than they are. */
function numbers({ file, dtype, shape }, bigEndian = false) {
  const count = shape.reduce((product, side) => product * side, 1);
  const Type = TYPES[dtype];
  const bytes = Buffer.from(readFileSync(join(vectors, file)).subarray(-count * Type.BYTES_PER_ELEMENT));
  if (bigEndian && Type === Uint16Array) bytes.swap16();
  return new Type(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function compareInput(prepared, input) {
  if (input.file === undefined) {
    assert.equal(createHash("sha256").update(new Uint8Array(prepared.buffer)).digest("hex"), input.sha256);
    return;
  }
  const worst = numbers(input).reduce((most, value, at) => Math.max(most, Math.abs(value - prepared[at])), 0);
  assert.ok(worst <= input.tolerance, `the input by ${worst}`);
}

for (const { name, spec, image, input, logits, mask, scores } of JSON.parse(readFileSync(join(vectors, "index.json"))).cases) {
  test(name, () => {
    const text = JSON.stringify({ schema_version: 1, spec });
    const parsed = core.spec(new TextEncoder().encode(text));
    const [height, width, channels] = image.shape;
    const given = { data: numbers(image, image.file.endsWith(".ppm") || image.file.endsWith(".pgm")), height, width, channels };
    const plan = parsed.plan(height, width);
    const prepared = parsed.prepare(given, plan);
    if (plan.windows === 1) compareInput(prepared, input);
    const data = numbers(logits);
    const each = data.length / logits.shape[0];
    const outputs = Array.from({ length: logits.shape[0] }, (_, at) => ({
      data: data.subarray(each * at, each * (at + 1)),
      dims: [1, ...logits.shape.slice(1)],
    }));
    const found = parsed.mask(outputs, height, width, plan);
    assert.deepEqual(found.data, numbers(mask, true));
    const probable = parsed.scores(outputs, height, width, plan);
    const expected = numbers(scores);
    const pixels = width * height;
    const columns = scores.shape[1];
    let worst = 0;
    expected.forEach((value, at) => {
      const pixel = (at % columns) * scores.every;
      const other = probable.data[Math.floor(at / columns) * pixels + pixel];
      if (Number.isNaN(value) && Number.isNaN(other)) return;
      worst = Math.max(worst, Number.isNaN(other - value) ? Infinity : Math.abs(other - value));
    });
    assert.ok(worst <= scores.tolerance, `scores by ${worst}`);
    parsed.close();
  });
}
