// The page in headless Chromium, at the widths of a desk and of a phone. SEGSHIP_SCREENSHOTS: a folder for its pictures;
// SEGSHIP_PACKAGE and SEGSHIP_IMAGE: others than the golden ones.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Page } from "../tools/chromium.mjs";
import { serve } from "../tools/serve.mjs";

const root = resolve(process.env.SEGSHIP_REPOSITORY ?? resolve(fileURLToPath(import.meta.url), "../../../.."));
const dist = process.env.SEGSHIP_WEB_OUT ?? resolve(fileURLToPath(import.meta.url), "../../dist");
const folder = process.env.SEGSHIP_PACKAGE ?? join(root, "spec/vectors/packages/whole");
const image = process.env.SEGSHIP_IMAGE ?? join(root, "src/segship/assets/demo/images/scene_00.jpg");
const READY = "document.body.ariaBusy === 'false'";
const status = (page) => page.evaluate("document.getElementById('status').textContent");

async function keep(page, name) {
  const picture = await page.screenshot();
  assert.ok(picture.length > 1000);
  if (process.env.SEGSHIP_SCREENSHOTS) writeFileSync(join(process.env.SEGSHIP_SCREENSHOTS, name), picture);
}

for (const width of [1280, 390]) {
  test(`a package beside the page, an image, a legend, ${width} pixels wide`, async () => {
    const server = await serve({ "/": dist, "/package/": folder });
    const page = await Page.open(`${server.address}/`, { width, height: width > 600 ? 800 : 844 });
    try {
      await page.until(READY);
      assert.match(await status(page), /^Open: \d+ classes, onnxruntime-web .* on wasm\. Choose an image\.$/);
      await keep(page, `opened_${width}.png`);
      await page.choose("#image", [image]);
      await page.until("!document.getElementById('opacity').disabled");
      const classes = await page.evaluate("[...document.querySelectorAll('#legend li')].map(item => item.textContent)");
      assert.ok(classes.length >= 2, classes.join());
      assert.match(classes[0], /\d %$/);
      const pixels = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.join()";
      const before = await page.evaluate(`const canvas = document.getElementById('canvas'); ${pixels}`);
      await page.evaluate("opacity.value = 1; opacity.dispatchEvent(new Event('input'))");
      assert.notEqual(await page.evaluate(pixels), before);
      await page.evaluate("opacity.value = 0.5; opacity.dispatchEvent(new Event('input'))");
      await keep(page, `mask_${width}.png`);
      const wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
      assert.equal(await page.evaluate(wide), 0, "the page scrolls to the side");
      const small = "[...document.querySelectorAll('input, select')].filter(each => each.offsetHeight < 40).map(each => each.id)";
      assert.deepEqual(await page.evaluate(small), [], "a finger misses these");
      assert.deepEqual(page.requests.filter((each) => !/^(blob|data):/.test(each) && !each.startsWith(server.address)), []);
      assert.deepEqual(page.messages, []);
    } finally {
      await page.close();
      server.close();
    }
  });
}

test("a package that is chosen, by the keyboard, and one that is broken", async () => {
  const server = await serve({ "/": dist });
  const page = await Page.open(`${server.address}/`);
  try {
    assert.equal(await status(page), "Choose a package.");
    const reached = [];
    for (let count = 0; count < 2; ++count) {
      await page.press("Tab");
      reached.push(await page.evaluate("document.activeElement.id"));
    }
    assert.deepEqual(reached, ["package", "engine"]); // the image waits for a package
    const choose = (change) => page.evaluate(`(${give})(${JSON.stringify(filesIn(folder, change))})`);
    await choose({});
    await page.until(READY);
    assert.match(await status(page), /^Open: /);
    await choose({ "model.onnx": "AAAA" });
    await page.until("document.getElementById('status').className === 'wrong'");
    assert.match(await status(page), /model\.onnx was changed: 3 bytes, SHA-256 [0-9a-f]{12}…, expected \d+ bytes/);
    assert.equal(await page.evaluate("document.getElementById('image').disabled"), true);
  } finally {
    await page.close();
    server.close();
  }
});

function filesIn(place, change) {
  return readdirSync(place).map((name) => [name, change[name] ?? readFileSync(join(place, name)).toString("base64")]);
}

/** In the page: choose files, as the dialogue for folders does. */
function give(files) {
  const given = new DataTransfer();
  for (const [name, text] of files) given.items.add(new File([Uint8Array.from(atob(text), (each) => each.charCodeAt())], name));
  const input = document.getElementById("package");
  input.files = given.files;
  input.dispatchEvent(new Event("change"));
}

test("the graphics processor gives the same mask", { timeout: 300_000 }, async () => {
  const server = await serve({ "/": dist, "/package/": folder });
  const page = await Page.open(`${server.address}/?package=none`, { webgpu: true });
  try {
    const equal = `(async () => {
      const { Segmentor } = await import("/index.js");
      const image = { data: Uint8Array.from({ length: 61 * 83 * 3 }, (_, at) => (at * at * 7 + at) % 251), width: 83, height: 61 };
      const masks = [];
      for (const engine of ["wasm", "webgpu"]) {
        const segmentor = await Segmentor.open("/package", { engine });
        masks.push((await segmentor(image)).data.join());
        await segmentor.close();
      }
      return [masks[0] === masks[1], new Set(masks[0].split(",")).size];
    })()`;
    const [same, labels] = await page.evaluate(equal);
    assert.ok(same);
    assert.ok(labels > 1);
  } finally {
    await page.close();
    server.close();
  }
});
