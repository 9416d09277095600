"use strict";
// node --test, with the folder of the golden vectors in SEGSHIP_VECTORS.

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");
const { Segmentor } = require("./index.js");

const vectors = process.env.SEGSHIP_VECTORS ?? join(__dirname, "../../spec/vectors");
const index = JSON.parse(readFileSync(join(vectors, "index.json")));
const { image: stored, mask: wanted, package: folder } = index.packages.find(({ name }) => name === "whole");
const [height, width] = stored.shape;
const data = new Uint8Array(readFileSync(join(vectors, stored.file)).subarray(-height * width * 3));
const labels = new Uint8Array(readFileSync(join(vectors, wanted.file)).subarray(-height * width));
const image = { data, width, height };

test("one image in every form, many at once", async () => {
  const segmentor = await Segmentor.open(join(vectors, folder), { threads: 1 });
  assert.ok(segmentor instanceof Segmentor);
  assert.equal(segmentor.classes.length, 19);
  assert.equal(segmentor.classes[3], "class 3");
  assert.deepEqual(segmentor.colors[0], [128, 0, 0]);
  const turned = data.map((_, place) => data[place - (place % 3) + 2 - (place % 3)]);
  const alpha = new Uint8ClampedArray(width * height * 4).map((_, place) =>
    place % 4 === 3 ? 0 : data[Math.floor(place / 4) * 3 + (place % 4)],
  );
  const forms = [image, { ...image, data: turned, order: "bgr" }, { ...image, data: alpha }];
  const masks = await Promise.all([...forms, ...forms].map((form) => segmentor(form)));
  for (const mask of masks) assert.deepEqual(mask, { data: labels, width, height });
  const scores = await segmentor.scores(image);
  assert.equal(scores.data.length, 19 * width * height);
  const plain = await segmentor.overlay(image, masks[0], 0);
  assert.deepEqual(plain.data, data);
  const pending = segmentor.mask(image);
  segmentor.close();
  segmentor.close();
  assert.deepEqual((await pending).data, labels);
  await assert.rejects(segmentor.mask(image), { code: "SEGSHIP_BACKEND_ERROR" });
});

test("mistakes have a code and a message", async () => {
  await assert.rejects(Segmentor.open("nowhere"), { code: "SEGSHIP_PACKAGE_ERROR", message: /^nowhere is not a package/ });
  const segmentor = await Segmentor.open(join(vectors, folder));
  for (const wrong of [undefined, { data, width }, { data, width, height: height + 1 }, { ...image, order: "grb" }, { ...image, channels: 4 }]) {
    await assert.rejects(segmentor.mask(wrong), { code: "SEGSHIP_INPUT_ERROR" });
  }
  const small = { data: new Uint8Array(3), width: 1, height: 1 };
  await assert.rejects(segmentor.overlay(image, small), { code: "SEGSHIP_INPUT_ERROR" });
  segmentor.close();
});
