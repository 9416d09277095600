// segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image, made by a page in headless Chromium; with SCORES,
// the probabilities as float32, too. SEGSHIP_WEB_ENGINE=webgpu: on a graphics processor in software.
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Page } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const { Refused, bytesOf, readPpm, write, writePgm } = createRequire(import.meta.url)("../../node/pnm.js");
const PAGE = process.env.SEGSHIP_WEB_OUT ?? resolve(fileURLToPath(import.meta.url), "../../dist");

/** Run in the page: open the package, and send back what was asked for. */
async function work(name, engine, width, height, wanted) {
  const { Segmentor } = await import("/index.js");
  const pixels = new Uint8Array(await (await fetch("/data/image")).arrayBuffer());
  try {
    const segmentor = await Segmentor.open("/package", { engine, name });
    for (const what of wanted) {
      const { data } = await segmentor[what]({ data: pixels, width, height });
      await fetch(`/data/${what}`, { method: "POST", body: data });
    }
    await segmentor.close();
    return { wide: segmentor.classes.length > 256 };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { told: error.message };
  }
}

/** A folder's name as Python tells it: without what changes nothing. */
function tidied(folder) {
  const parts = folder.split("/").filter((part) => part !== "" && part !== ".");
  return (folder.startsWith("/") ? "/" : "") + parts.join("/") || ".";
}

async function main([given, imagePath, maskPath, scoresPath]) {
  const folder = tidied(given);
  const image = readPpm(imagePath);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Refused(`${folder} is not a package: no such directory`);
  }
  const data = new Map([["image", bytesOf(image.data)]]);
  const engine = process.env.SEGSHIP_WEB_ENGINE ?? "wasm";
  const server = await serve({ "/": PAGE, "/package/": folder }, { data });
  // The page itself opens no package here; it brings the names by which its engine is imported.
  const page = await Page.open(`${server.address}/?package=none`, { webgpu: engine === "webgpu" });
  try {
    const wanted = scoresPath === undefined ? ["mask"] : ["mask", "scores"];
    const values = [folder, engine, image.width, image.height, wanted].map((each) => JSON.stringify(each));
    const { told, wide } = await page.evaluate(`(${work})(${values.join(", ")})`);
    if (told !== undefined) throw new Refused(told);
    const mask = new Uint8Array(data.get("mask"));
    writePgm(maskPath, { ...image, data: wide ? new Uint16Array(mask.buffer) : mask });
    if (scoresPath !== undefined) write(scoresPath, data.get("scores"));
  } finally {
    await page.close();
    server.close();
  }
}

const given = process.argv.slice(2);
if (given.length !== 3 && given.length !== 4) {
  console.error("usage: browser PACKAGE IMAGE.ppm MASK.pgm [SCORES]");
  process.exitCode = 2;
} else {
  main(given).catch((error) => {
    if (!(error instanceof Refused)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  });
}
