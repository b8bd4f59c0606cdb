/**
 * The compiled agent finds an XID in a flood of the real /dev/kmsg: one that it can follow, and one
 * during which it was stopped. Each once; `npm run once -- flood` does it six times beside a peer.
 */
import { expect, test } from "bun:test";
import { accessSync, constants } from "node:fs";
import { agentBinary } from "../../agent/binary.ts";
import { nvmlOrSkip } from "../../fixture/nvml/build.ts";
import { openOurs } from "./agent.ts";
import { flood, readSeries, ROWS } from "./flood.ts";

function refusal(): string | null {
  try {
    accessSync("/dev/kmsg", constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    return String(error);
  }
}

const refused = refusal();
const library = nvmlOrSkip("full");
if (refused !== null) console.warn(`SKIPPED test/real/flood: ${refused}`);

test.skipIf(refused !== null || library === null)(
  "navarch-node finds the XID in every flood, and counts what the ring lost",
  async () => {
    agentBinary();
    const ours = await openOurs(library ?? "");
    try {
      for (const row of ROWS) {
        const outcome = await flood(ours, row);
        expect({ row: row.name, ...outcome }).toMatchObject({ row: row.name, found: true });
        // A stop of a second overruns a ring of usual size, and costs no more than that second.
        const most = row.stopMs === 0 ? outcome.written / 2 : (3 * row.rate * row.stopMs) / 1_000;
        expect(outcome.lost ?? -1).toBeGreaterThanOrEqual(0);
        expect(outcome.lost ?? Infinity).toBeLessThan(most);
      }
    } finally {
      await ours.close();
    }
  },
  90_000,
);

test("readSeries() reads one series of a page", () => {
  const page = '# HELP a b\na_total{x="1"} 7\na_total_more 9\n';
  expect([readSeries(page, "a_total{"), readSeries(page, "b")]).toEqual([7, 0]);
});
