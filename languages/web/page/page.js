// The page: a package, an image, the mask's colours over it, and a legend.
import { Segmentor } from "./index.js";

const find = (id) => document.getElementById(id);
const [packageInput, imageInput, engine, opacity, status, canvas, legend] = [
  "package",
  "image",
  "engine",
  "opacity",
  "status",
  "canvas",
  "legend",
].map(find);

let source; // what the package was opened from
let segmentor;
let shown; // {image, mask}
let work = Promise.resolve(); // one thing at a time, in the order in which it was asked for

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

/** Do something after all that is under way; errors are told, and the page goes on. */
function after(what, task) {
  work = work.then(async () => {
    document.body.ariaBusy = "true";
    say(what);
    await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
    try {
      await task();
    } catch (error) {
      say(error.message, true);
    }
    document.body.ariaBusy = "false";
  });
  return work;
}

async function openPackage() {
  await segmentor?.close();
  segmentor = undefined;
  imageInput.disabled = true;
  segmentor = await Segmentor.open(source, { engine: engine.value });
  imageInput.disabled = false;
  const open = `Open: ${segmentor.classes.length} classes, ${segmentor.engine}.`;
  say(shown ? open : `${open} Choose an image.`);
}

async function segmentFile(file) {
  if (segmentor === undefined) throw new Error("Choose a package first.");
  // The numbers as the file has them: no colour profile, no alpha multiplied in.
  const exactly = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const picture = await createImageBitmap(file, exactly).catch(() => {
    throw new Error(`${file.name} is no image that this browser reads.`);
  });
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  picture.close();
  await segment(context.getImageData(0, 0, width, height));
}

async function segment(image) {
  const begin = performance.now();
  const mask = await segmentor(image);
  shown = { image, mask };
  const seconds = ((performance.now() - begin) / 1000).toFixed(2);
  draw();
  list();
  opacity.disabled = false;
  say(`${image.width} x ${image.height} pixels in ${seconds} s, ${segmentor.engine}.`);
}

function draw() {
  const { image, mask } = shown;
  const { data } = segmentor.overlay(image, mask, Number(opacity.value));
  const pixels = new ImageData(image.width, image.height);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    pixels.data[to] = data[from];
    pixels.data[to + 1] = data[from + 1];
    pixels.data[to + 2] = data[from + 2];
    pixels.data[to + 3] = 255;
  }
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The classes of the image, the largest first. */
function list() {
  const counts = new Map();
  for (const label of shown.mask.data) counts.set(label, (counts.get(label) ?? 0) + 1);
  const found = [...counts].sort(([, a], [, b]) => b - a);
  const share = (count) => `${((100 * count) / shown.mask.data.length).toFixed(1)} %`;
  legend.replaceChildren(
    ...found.map(([label, count]) => {
      const [item, swatch, amount] = ["li", "i", "span"].map((name) => document.createElement(name));
      swatch.style.background = `rgb(${segmentor.colors[label].join(" ")})`;
      amount.textContent = share(count);
      item.append(swatch, segmentor.classes[label], amount);
      return item;
    }),
  );
  canvas.ariaLabel = found.map(([label, count]) => `${segmentor.classes[label]} ${share(count)}`).join(", ");
}

/** Every file below a dropped folder, with its place in it. */
async function filesBelow(entry, path = "") {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [Object.defineProperty(file, "webkitRelativePath", { value: path + entry.name })];
  }
  const reader = entry.createReader();
  const found = [];
  for (let some = [0]; some.length; ) {
    some = await new Promise((done, failed) => reader.readEntries(done, failed));
    for (const inner of some) found.push(...(await filesBelow(inner, `${path}${entry.name}/`)));
  }
  return found;
}

function take(files) {
  const pictures = files.filter((file) => file.type.startsWith("image/"));
  if (files.some((file) => file.name === "manifest.json")) {
    source = files;
    after("Opening the package …", openPackage);
  } else if (pictures.length) {
    after("Segmenting …", () => segmentFile(pictures[0]));
  } else if (files.length) {
    say("This is neither an image nor a package: a package holds manifest.json.", true);
  }
}

packageInput.addEventListener("change", () => take([...packageInput.files]));
imageInput.addEventListener("change", () => take([...imageInput.files]));
opacity.addEventListener("input", () => segmentor && shown && draw());
engine.addEventListener("change", () => {
  if (source === undefined) return;
  after("Opening the package …", async () => {
    await openPackage();
    if (shown) await segment(shown.image);
  });
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  take((await Promise.all(entries.map((entry) => filesBelow(entry)))).flat());
});

// A package that lies beside the page, or where ?package= points on the same server, opens by itself.
const beside = new URL(new URLSearchParams(location.search).get("package") ?? "package", location.href);
if (beside.origin === location.origin) {
  const there = await fetch(`${beside.href.replace(/\/+$/, "")}/manifest.json`, { method: "HEAD" }).catch(() => undefined);
  if (there?.ok && source === undefined) {
    source = beside;
    await after("Opening the package …", openPackage);
  }
}
