/**
 * Writes lines to /dev/kmsg at a rate, and one more at a moment of its own. The kernel takes ten
 * lines in five seconds from one open file and drops the rest, so the file is opened again for each
 * nine. Prints what it wrote as one JSON object.
 *
 *     bun test/real/flood/writer.ts LINES_PER_SECOND SECONDS AT_MS LINE
 */
import { closeSync, openSync, writeSync } from "node:fs";

const DEVICE = "/dev/kmsg";
const LINES_PER_OPEN = 9;

const [rate = 0, seconds = 0, atMs = 0] = process.argv.slice(2, 5).map(Number);
const line = process.argv[5] ?? "";
const startedMs = performance.now();
let written = 0;
let wroteAtMs = 0;

function write(texts: readonly string[]): void {
  const fd = openSync(DEVICE, "w");
  try {
    for (const text of texts) writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

for (let now = 0; now < seconds * 1_000; now = performance.now() - startedMs) {
  if (wroteAtMs === 0 && now >= atMs) {
    write([line]);
    wroteAtMs = Date.now();
  }
  if (written >= (now / 1_000) * rate) {
    await Bun.sleep(1);
    continue;
  }
  const texts = Array.from({ length: LINES_PER_OPEN }, (_, i) => {
    return `<6>navarch flood: line ${written + i} of noise, as long as a chatty driver's are`;
  });
  write(texts);
  written += texts.length;
}
console.log(JSON.stringify({ written, wroteAtMs }));
