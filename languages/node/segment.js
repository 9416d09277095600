"use strict";
// segment PACKAGE IMAGE.ppm MASK.pgm [SCORES]: the mask of an image; with SCORES, the probabilities as float32, too.

const { Segmentor } = require("./index.js");
const { Refused, bytesOf, readPpm, write, writePgm } = require("./pnm.js");

async function main([folder, imagePath, maskPath, scoresPath]) {
  const image = readPpm(imagePath);
  const segmentor = await Segmentor.open(folder);
  writePgm(maskPath, await segmentor(image));
  if (scoresPath !== undefined) write(scoresPath, bytesOf((await segmentor.scores(image)).data));
  segmentor.close();
}

const given = process.argv.slice(2);
if (given.length !== 3 && given.length !== 4) {
  console.error("usage: node PACKAGE IMAGE.ppm MASK.pgm [SCORES]");
  process.exitCode = 2;
} else {
  main(given).catch((error) => {
    if (!(error instanceof Refused) && !String(error.code).startsWith("SEGSHIP_")) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  });
}
