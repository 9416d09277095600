// A small server of files on this machine alone, for tests and for trying the page.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serve folders: `{"/": "page", "/package/": "…"}`; the longest prefix counts. `data`: a Map whose entries are read and
 * written as /data/NAME. Returns the address and a `close`.
 */
export async function serve(folders, { port = 0, data = new Map() } = {}) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    if (path.startsWith("/data/")) return void exchange(data, path.slice("/data/".length), request, response);
    const prefix = prefixes.find((each) => path.startsWith(each));
    const root = prefix && resolve(folders[prefix]);
    const inside = prefix && normalize(path.slice(prefix.length)).replace(/^(\.\.(\/|$))+/, "");
    const file = prefix && join(root, inside === "." || inside.endsWith("/") ? join(inside, "index.html") : inside);
    const found = file && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) return void response.writeHead(404).end("not found");
    // With these two a page may use several threads.
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": found.size,
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address: `http://127.0.0.1:${server.address().port}`, close };
}

async function exchange(data, name, request, response) {
  if (request.method !== "POST") return void response.end(data.get(name));
  const parts = [];
  for await (const part of request) parts.push(part);
  data.set(name, Buffer.concat(parts));
  response.writeHead(204).end();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folders = Object.fromEntries(process.argv.slice(2).map((each) => each.split("=")));
  const { address } = await serve(folders, { port: 8000 });
  console.log(`${address}/`);
}
