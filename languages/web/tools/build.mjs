// Build dist/: the core as WebAssembly (Debian's emscripten), the package and the page (TypeScript), and the page's
// onnxruntime-web. No file comes from anywhere but this repository and node_modules.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const out = resolve(process.env.SEGSHIP_WEB_OUT ?? join(root, "dist"));
const modules = join(root, "node_modules");
const native = resolve(process.env.SEGSHIP_NATIVE ?? join(root, "../../native"));
const LIMIT = 300_000; // bytes of the core

// Functions that open packages and engines; a page does that itself.
const NOT_HERE = /^segship_(open|close|options_init|segmentor_spec|segmentor_engine|mask|scores)$/;
const FLAGS = ["-std=c++17", "-O2", "-msimd128", "-fwasm-exceptions", "-fno-rtti", "-DSEGSHIP_STATIC", "-DNDEBUG"];
// They read a manifest once: small rather than fast.
const READERS = /(manifest|rules|text)\.cpp$/;
// As in native/CMakeLists.txt: a fused multiply-add would make other masks.
const EXACT = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"];
const SETTINGS = ["STANDALONE_WASM", "ALLOW_MEMORY_GROWTH", "MAXIMUM_MEMORY=4GB", "FILESYSTEM=0", "MALLOC=emmalloc"];
const RUNTIME = /^(ort\.(wasm|webgpu)\.min\.mjs|ort-wasm-simd-threaded(\.asyncify)?\.(mjs|wasm))$/;

function buildCore() {
  const sources = ["src", "src/core"].flatMap((folder) =>
    readdirSync(join(native, folder)).filter((name) => name.endsWith(".cpp")).map((name) => join(native, folder, name)),
  );
  const header = readFileSync(join(native, "include/segship/segship.h"), "utf8");
  const names = [...new Set(header.match(/\bsegship_[a-z_]+(?=\()/g))].filter((name) => !NOT_HERE.test(name));
  const exported = ["malloc", "free", ...names].map((name) => `_${name}`).join(",");
  const include = [`-I${native}/src`, `-I${native}/include`, "-isystem", `${native}/third_party`];
  const settings = [...SETTINGS, `EXPORTED_FUNCTIONS=${exported}`].map((setting) => `-s${setting}`);
  const file = join(out, "core.wasm");
  const small = sources.filter((source) => READERS.test(source));
  const objects = small.map((source) => join(out, `${basename(source)}.o`));
  small.forEach((source, at) => run("em++", ...FLAGS, "-Oz", ...EXACT, ...include, "-c", source, "-o", objects[at]));
  const others = sources.filter((source) => !READERS.test(source));
  run("em++", ...FLAGS, ...EXACT, ...include, ...others, ...objects, "--no-entry", ...settings, "-o", file);
  objects.forEach((object) => rmSync(object));
  const bytes = statSync(file).size;
  console.log(`core.wasm: ${bytes} bytes`);
  if (bytes > LIMIT) throw new Error(`core.wasm has ${bytes} bytes, the limit is ${LIMIT}`);
}

function run(program, ...words) {
  execFileSync(program, words, { stdio: "inherit", cwd: root });
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
buildCore();
run(process.execPath, join(modules, "typescript/bin/tsc"), "-p", root, "--outDir", out);
cpSync(join(root, "page"), out, { recursive: true });
mkdirSync(join(out, "ort"));
const dist = join(modules, "onnxruntime-web/dist");
if (!existsSync(dist)) throw new Error(`${dist} is missing: npm install --ignore-scripts`);
for (const name of readdirSync(dist)) if (RUNTIME.test(name)) cpSync(join(dist, name), join(out, "ort", name));
