"use strict";
// Images as PPM, masks as PGM: what the programs of Node and the browser read and write.

const { closeSync, openSync, readSync, writeFileSync } = require("node:fs");
const { getSystemErrorMap } = require("node:util");

const MAX_PIXELS = 100_000_000;
const HEAD_BYTES = 1 << 16;
const BETWEEN = "(?:[ \\t\\r\\n]|#[^\\n]*\\n)*";
const NUMBER = `${BETWEEN}(0*\\d{1,10})[ \\t\\r\\n]`;
const HEAD = new RegExp(`^P6${NUMBER}${NUMBER}${BETWEEN}0*255[ \\t\\r\\n]`);
// As C tells them; Node says some otherwise.
const REASONS = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EISDIR: "Is a directory",
  ENAMETOOLONG: "File name too long",
};

class Refused extends Error {}

function reason(error) {
  const told = REASONS[error.code] ?? getSystemErrorMap().get(error.errno)?.[1] ?? error.message;
  return told[0].toUpperCase() + told.slice(1);
}

/** In millions, where these tell the image from the limit. */
function huge(path, width, height) {
  const pixels = width * height;
  const millions = pixels > 100.5e6;
  const found = millions ? `${(pixels / 1e6).toFixed(0)} million` : pixels.toLocaleString("en-US");
  const limit = millions ? "100 million" : "100,000,000";
  return new Refused(
    `${path} is too large: ${width}x${height} pixels are ${found}, the limit is ${limit}; shrink it or raise the limit`,
  );
}

function readPpm(path) {
  let file;
  try {
    file = openSync(path);
    const start = Buffer.alloc(HEAD_BYTES);
    const head = start.subarray(0, readSync(file, start, 0, start.length, 0));
    if (head.length === 0) throw new Refused(`${path} is empty: expected a binary PPM (P6) of 8 bits`);
    const found = HEAD.exec(head.toString("latin1"));
    const [width, height] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
    if (width < 1 || height < 1) {
      throw new Refused(`${path} is not an image of a known format: expected a binary PPM (P6) of 8 bits`);
    }
    if (width * height > MAX_PIXELS) throw huge(path, width, height);
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
