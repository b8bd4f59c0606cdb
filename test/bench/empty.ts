/**
 * What the product costs before it has a fleet: the size of both binaries, the time of a start
 * until the control plane listens, and its memory when nothing has happened.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { type Bench, type Figure, held, shown, spreadOf } from "./bench.ts";
import { openPlane } from "./plane.ts";
import { readMemory } from "./process.ts";

const STARTS = 10;
/** Until garbage of the start is gone. */
const REST_MS = 5_000;
const MIB = 2 ** 20;

const sizeOf = (dist: string, name: string): Figure[] => {
  const found = statSync(join(dist, name), { throwIfNoEntry: false });
  return found === undefined ? [] : [shown(`${name}: size`, found.size / MIB, "MiB")];
};

export const empty: Bench = {
  name: "empty",
  summary: "sizes of the binaries, start and memory of a control plane without a fleet",
  async run({ dist, tiny }) {
    const startMs: number[] = [];
    const rss: number[] = [];
    for (let round = 0; round < (tiny ? 1 : STARTS); round++) {
      const begun = performance.now();
      const plane = await openPlane(dist);
      startMs.push(performance.now() - begun);
      await Bun.sleep(tiny ? 0 : REST_MS);
      rss.push(readMemory([plane.pid]).rss);
      await plane.close();
    }
    return [
      ...sizeOf(dist, "navarch"),
      ...sizeOf(dist, "navarch-node"),
      held("start until it listens, median", spreadOf(startMs).p50, "ms", 1_000),
      held("RSS when empty, median", spreadOf(rss).p50, "MiB", 128),
    ];
  },
};
