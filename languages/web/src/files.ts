// Where the files of a package come from, and the check that they are the ones that were written.

import { message } from "./core.js";
import { SegshipError } from "./errors.js";

/** A package: the address of its folder; or its files, as a person chose or dropped them. */
export type Source = string | URL | Iterable<File>;

const MANIFEST = "manifest.json";
const MANIFEST_BYTES = 16 * 2 ** 20;
const SEAL = /^  "digest": "([0-9a-f]{64})"\n\}\n$/;
const SEAL_BYTES = 81;

interface Digest {
  size: number;
  sha256: string;
}

/** Bytes up to which a file that grew is read whole, so that the error can tell its size and digest. */
const DESCRIBED = 64 * 2 ** 20;

/** The files of a package. */
export interface Files {
  /** For messages. */
  name: string;
  manifest: Uint8Array;
  /** The file's bytes, once they have the digest that the manifest gives. */
  read(file: string): Promise<Uint8Array>;
}

/** Find a package's files, and read its manifest. */
export async function openFiles(source: Source, name?: string): Promise<Files> {
  const folder = typeof source === "string" || source instanceof URL ? new Served(source) : new Chosen(source);
  const called = name ?? folder.name;
  const manifest = await folder.read(MANIFEST, MANIFEST_BYTES, called);
  if (manifest === undefined) {
    throw new SegshipError("SEGSHIP_PACKAGE_ERROR", `${called} is not a package: it holds no ${MANIFEST}`);
  }
  const read = async (file: string) => {
    const expected = digestsIn(manifest)[file];
    const least = `${called} is incomplete: ${file} is missing; export it again`;
    if (!isInside(file)) {
      throw new SegshipError("SEGSHIP_PACKAGE_ERROR", `${called} names a file outside itself ('${file}'): do not use it`);
    }
    if (expected === undefined) throw new SegshipError("SEGSHIP_PACKAGE_ERROR", least);
    const bytes = await folder.read(file, Math.max(expected.size, DESCRIBED), called);
    if (bytes === undefined) throw new SegshipError("SEGSHIP_PACKAGE_ERROR", least);
    await check(bytes, expected, `${called}/${file}`);
    return bytes;
  };
  return { name: called, manifest, read };
}

/** The names of the files whose digests a manifest gives; the core has checked its form. */
export function namesIn(manifest: Uint8Array): string[] {
  return Object.keys(digestsIn(manifest));
}

/** Check that a manifest, which the core has read, ends in the digest of all that stands before; version 1 has none. */
export async function requireSealed({ name, manifest }: Files): Promise<void> {
  const data = JSON.parse(new TextDecoder().decode(manifest));
  if (data.schema_version === 1 && !("digest" in data)) return;
  const refused = (why: string) =>
    new SegshipError("SEGSHIP_PACKAGE_ERROR", `${name}/${MANIFEST} was changed: ${why}; export the package again`);
  const end = new TextDecoder("latin1").decode(manifest.subarray(-SEAL_BYTES));
  const found = SEAL.exec(end)?.[1];
  if (found === undefined) throw refused("it does not end in its digest");
  if ((await sha256(manifest.subarray(0, -SEAL_BYTES), `${name}/${MANIFEST}`)) !== found) {
    throw refused("its digest does not fit");
  }
}

function digestsIn(manifest: Uint8Array): Record<string, Digest> {
  return JSON.parse(new TextDecoder().decode(manifest)).files ?? {};
}

function isInside(file: string): boolean {
  return !/^\/|\\|:|[?#]/.test(file) && !file.split("/").includes("..");
}

async function sha256(bytes: Uint8Array, path: string): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) {
    const why = "a page may compute digests only when it comes by https or from this machine";
    throw new SegshipError("SEGSHIP_UNSUPPORTED_ERROR", `${path} cannot be checked: ${why}; serve it by https`);
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function check(bytes: Uint8Array, expected: Digest, path: string): Promise<void> {
  const found = await sha256(bytes, path);
  if (bytes.length === expected.size && found === expected.sha256) return;
  const short = (text: string) => `${text.slice(0, 12)}…`;
  throw new SegshipError(
    "SEGSHIP_PACKAGE_ERROR",
    `${path} was changed: ${bytes.length} bytes, SHA-256 ${short(found)}, expected ${expected.size} bytes, ` +
      `${short(expected.sha256)}; export the package again`,
  );
}

/** A folder behind an address. */
class Served {
  readonly name: string;

  constructor(address: string | URL) {
    this.name = String(address).replace(/\/+$/, "");
  }

  async read(file: string, limit: number, called: string): Promise<Uint8Array | undefined> {
    const path = file.split("/").map(encodeURIComponent).join("/");
    const response = await fetch(`${this.name}/${path}`).catch((error) => {
      throw new SegshipError("SEGSHIP_PACKAGE_ERROR", `${called}/${file} cannot be read: ${message(error)}`);
    });
    if (response.status === 404) return undefined;
    if (!response.ok || response.body === null) {
      throw new SegshipError("SEGSHIP_PACKAGE_ERROR", `${called}/${file} cannot be read: status ${response.status}`);
    }
    return collect(response.body, limit, `${called}/${file}`);
  }
}

/** Whatever is longer than the limit is not the file that was written, and is not taken whole. */
async function collect(stream: ReadableStream<Uint8Array>, limit: number, path: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw tooLarge(path, limit);
    }
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function tooLarge(path: string, limit: number): SegshipError {
  const what = path.endsWith(`/${MANIFEST}`) ? "not a manifest" : "it was changed; export the package again";
  return new SegshipError("SEGSHIP_PACKAGE_ERROR", `${path} is larger than ${limit} bytes: ${what}`);
}

/** Files that a person chose: those beside the manifest that lies highest, and below. */
class Chosen {
  readonly name: string;
  private readonly files = new Map<string, File>();

  constructor(files: Iterable<File>) {
    const paths = [...files].map((file) => [file.webkitRelativePath || file.name, file] as const);
    const manifests = paths.map(([path]) => path).filter((path) => path.split("/").at(-1) === MANIFEST);
    const highest = manifests.sort((a, b) => a.split("/").length - b.split("/").length)[0] ?? MANIFEST;
    const folder = highest.slice(0, -MANIFEST.length);
    for (const [path, file] of paths) if (path.startsWith(folder)) this.files.set(path.slice(folder.length), file);
    this.name = folder.replace(/\/$/, "") || "the package";
  }

  async read(file: string, limit: number, called: string): Promise<Uint8Array | undefined> {
    const found = this.files.get(file);
    if (found !== undefined && found.size > limit) throw tooLarge(`${called}/${file}`, limit);
    return found && new Uint8Array(await found.arrayBuffer());
  }
}
