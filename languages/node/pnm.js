"use strict";
// Images as PPM, masks as PGM: what the programs of Node and the browser read and write.

const { closeSync, openSync, readSync, writeFileSync } = require("node:fs");
const { getSystemErrorMap } = require("node:util");

const MAX_PIXELS = 100_000_000;
const REASONS = { ENOENT: "No such file or directory", EACCES: "Permission denied", EISDIR: "Is a directory" };

class Refused extends Error {}

function reason(error) {
  return REASONS[error.code] ?? getSystemErrorMap().get(error.errno)?.[1] ?? error.message;
}

function readPpm(path) {
  let file;
  try {
    file = openSync(path);
    const start = Buffer.alloc(4096);
    const head = start.subarray(0, readSync(file, start, 0, start.length, 0));
    if (head.length === 0) throw new Refused(`${path} is empty: expected a binary PPM (P6) of 8 bits`);
    const found = /^P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+255\s/.exec(head.toString("latin1"));
    const [width, height] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
    if (width < 1 || height < 1) {
      throw new Refused(`${path} is not an image of a known format: expected a binary PPM (P6) of 8 bits`);
    }
    if (width * height > MAX_PIXELS) {
      throw new Refused(
        `${path} is too large: ${width}x${height} pixels are ${((width * height) / 1e6).toFixed(0)} million, ` +
          "the limit is 100 million; shrink it or raise the limit",
      );
    }
    const data = new Uint8Array(width * height * 3);
    for (let done = 0, some; done < data.length; done += some) {
      some = readSync(file, data, done, data.length - done, found[0].length + done);
      if (some === 0) throw new Refused(`${path} cannot be decoded: the PPM file is cut off or damaged; save or copy it again`);
    }
    return { data, width, height };
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(`cannot read ${path}: ${reason(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function write(path, ...parts) {
  try {
    writeFileSync(path, Buffer.concat(parts));
  } catch (error) {
    throw new Refused(`cannot write ${path}: ${reason(error)}`);
  }
}

function bytesOf(array) {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

function writePgm(path, { data, width, height }) {
  const wide = data instanceof Uint16Array;
  const labels = Buffer.from(bytesOf(data)); // a copy, which may be turned round
  write(path, Buffer.from(`P5\n${width} ${height}\n${wide ? 65535 : 255}\n`), wide ? labels.swap16() : labels);
}

module.exports = { Refused, bytesOf, readPpm, write, writePgm };
