// The page of a service: an image goes to each chosen model, whose labels come back and are drawn here.

const at = (id) => document.getElementById(id);
const SAMPLES = ["sample-1.jpg", "sample-2.jpg", "sample-3.jpg"];
const shown = []; // the results on the page
let chosen = null; // the image, as a Blob
let asked = 0; // an older answer is not drawn over a newer one
let focus = null; // the name of the class that is looked at

const token = () => sessionStorage.getItem("token") ?? "";
const say = (text, isError = false) => {
  at("message").textContent = text;
  at("message").classList.toggle("error", isError);
};

async function ask(path, options = {}) {
  const headers = token() ? { authorization: `Bearer ${token()}` } : {};
  const reply = await fetch(path, { ...options, headers });
  if (reply.status === 401) at("token-form").hidden = false;
  if (!reply.ok) {
    const told = await reply.json().catch(() => ({}));
    throw new Error(told.error ?? `the service answered ${reply.status}`);
  }
  return reply;
}

// A NumPy file: magic, version, the length of its header, a Python literal, the labels.
function readLabels(buffer) {
  const view = new DataView(buffer);
  const long = view.getUint8(6) > 1;
  const begin = long ? 12 : 10;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder().decode(new Uint8Array(buffer, begin, length));
  const [height, width] = /'shape': \((\d+), (\d+)\)/.exec(header).slice(1).map(Number);
  const Kind = header.includes("u1'") ? Uint8Array : Uint16Array;
  return { labels: new Kind(buffer.slice(begin + length)), height, width };
}

async function segment(model, image) {
  const begin = performance.now();
  const reply = await ask(`v1/models/${encodeURIComponent(model.name)}/segment?format=npy`, { method: "POST", body: image });
  const mask = readLabels(await reply.arrayBuffer());
  const picture = await createImageBitmap(image, { resizeWidth: mask.width, resizeHeight: mask.height }).catch(() => null);
  return { model, picture, ...mask, milliseconds: performance.now() - begin };
}

function count({ labels, model }) {
  const pixels = new Float64Array(model.classes.length);
  for (const label of labels) if (label < pixels.length) pixels[label] += 1;
  return [...pixels.keys()].filter((label) => pixels[label]).sort((a, b) => pixels[b] - pixels[a])
    .map((label) => ({ label, name: model.classes[label], share: pixels[label] / labels.length }));
}

// Colours of the mask; while a class is looked at, the others fade.
function draw({ canvas, labels, model, picture, width, height }) {
  const colours = new ImageData(width, height);
  const words = new Uint32Array(colours.data.buffer);
  const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  const table = model.classes.map((name, label) => {
    const [red, green, blue] = model.palette[label] ?? [0, 0, 0];
    const alpha = focus === null || focus === name ? 255 : 40;
    return little ? ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0
      : ((red << 24) | (green << 16) | (blue << 8) | alpha) >>> 0;
  });
  for (let place = 0; place < labels.length; place += 1) words[place] = table[labels[place]] ?? 0;
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(colours, 0, 0);
  const pen = canvas.getContext("2d");
  pen.globalAlpha = 1;
  pen.clearRect(0, 0, width, height);
  if (picture) pen.drawImage(picture, 0, 0, width, height);
  pen.globalAlpha = picture ? at("opacity").value / 100 : 1;
  pen.drawImage(layer, 0, 0);
}

let waiting = 0;
function drawAll() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => shown.forEach(draw));
}

function look(name) {
  focus = name;
  document.querySelectorAll(".legend button").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.name === name));
  });
  drawAll();
}

function legendOf(found, model) {
  return found.map(({ label, name, share }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = name;
    button.setAttribute("aria-pressed", "false");
    const parts = ["swatch", "name", "share"].map((kind) => Object.assign(document.createElement("span"), { className: kind }));
    parts[0].style.background = `rgb(${(model.palette[label] ?? [0, 0, 0]).join(" ")})`;
    parts[1].textContent = name;
    parts[2].textContent = `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;
    button.append(...parts);
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && look(name));
    button.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && look(null));
    button.addEventListener("click", () => look(focus === name ? null : name));
    button.addEventListener("focus", () => button.matches(":focus-visible") && look(name));
    button.addEventListener("blur", () => look(null));
    item.append(button);
    return item;
  });
}

async function download(event, result) {
  const link = event.currentTarget;
  if (link.href.startsWith("blob:")) return;
  event.preventDefault();
  const reply = await ask(`v1/models/${encodeURIComponent(result.model.name)}/segment?format=png`, { method: "POST", body: chosen });
  link.href = URL.createObjectURL(await reply.blob());
  link.click();
}

function show(result) {
  const { model, width, height, labels } = result;
  const part = at("result").content.cloneNode(true);
  const canvas = part.querySelector("canvas");
  const note = part.querySelector("output");
  Object.assign(canvas, { width, height });
  canvas.setAttribute("role", "img");
  const found = count(result);
  canvas.setAttribute("aria-label", `Mask of ${model.name}: ${found.map(({ name }) => name).join(", ")}`);
  part.querySelector("h2").textContent = model.name;
  part.querySelector(".figures").textContent =
    `${width} × ${height} pixels, ${found.length} of ${model.classes.length} classes, ${Math.round(result.milliseconds)} ms with the way there and back`;
  part.querySelector(".legend").append(...legendOf(found, model));
  const link = part.querySelector(".download");
  link.href = "#";
  link.download = "mask.png";
  link.addEventListener("click", (event) => download(event, result).catch((error) => say(error.message, true)));
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const x = Math.min(width - 1, Math.floor((offsetX / canvas.clientWidth) * width));
    const y = Math.min(height - 1, Math.floor((offsetY / canvas.clientHeight) * height));
    note.textContent = model.classes[labels[y * width + x]] ?? "";
  });
  canvas.addEventListener("pointerleave", () => { note.textContent = ""; });
  shown.push({ ...result, canvas });
  at("results").append(part);
}

async function run() {
  if (!chosen) return;
  const number = (asked += 1);
  const models = [...document.querySelectorAll("#models input:checked")].map((box) => box.model);
  say(models.length ? "Segmenting …" : "Choose a model.");
  try {
    const results = await Promise.all(models.map((model) => segment(model, chosen)));
    if (number !== asked) return;
    shown.length = 0;
    at("results").replaceChildren();
    results.forEach(show);
    drawAll();
    say("");
  } catch (error) {
    if (number === asked) say(error.message, true);
  }
}

function take(blob) {
  if (!blob) return;
  chosen = blob;
  run();
}

async function takeSample(name) {
  take(await (await fetch(`page/${name}`)).blob());
}

async function listModels() {
  const { models } = await (await ask("v1/models")).json();
  at("token-form").hidden = true;
  const boxes = models.map((model) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.model = model;
    box.addEventListener("change", run);
    label.append(box, model.name);
    return label;
  });
  at("models").replaceChildren(at("models").firstElementChild, ...boxes);
}

at("samples").append(...SAMPLES.map((name, number) => {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(Object.assign(new Image(), { src: `page/${name}`, alt: `Sample ${number + 1}` }));
  button.addEventListener("click", () => takeSample(name));
  return button;
}));
at("file").addEventListener("change", ({ target }) => take(target.files[0]));
at("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); at("file").click(); }
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
document.addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
at("opacity").addEventListener("input", drawAll);
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  listModels().then(run).catch((error) => say(error.message, true));
});
listModels().then(() => {
  const linked = SAMPLES.find((name) => location.hash === `#${name}`); // so that a result can be linked to
  if (linked) return takeSample(linked);
}).catch((error) => say(error.message, true));
