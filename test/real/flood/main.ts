/**
 * Proof: an XID in a flood of the kernel log is found six times of six, in a flood that the agent
 * can follow and in one during which it was stopped. With `NAVARCH_FLOOD_PEER`, a command with
 * `{port}` in it that serves metrics as gpud does, that agent runs beside ours, in turn with it;
 * ours must then find all that it finds.
 *
 *     npm run once -- flood
 */
import { parseArgs } from "node:util";
import { buildNvml } from "../../fixture/nvml/build.ts";
import type { Figures } from "../../once/record.ts";
import { openOurs } from "./agent.ts";
import { flood, type Outcome, openPeer, ROWS, type Subject } from "./flood.ts";

const { values } = parseArgs({
  options: { figures: { type: "string" }, rounds: { type: "string", default: "6" } },
});
const rounds = Number(values.rounds);
const PEER_PORT = 15_990;
/** Between two floods, so that neither begins with what the other left in the ring. */
const PAUSE_MS = 1_500;

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
};

const built = buildNvml("full");
if (built.kind === "absent") throw new Error(`no stand-in library: ${built.reason}`);
const ours = await openOurs(built.path);
const command = process.env["NAVARCH_FLOOD_PEER"];
const peer = command === undefined ? null : await openPeer(command, PEER_PORT);
const subjects: Subject[] = peer === null ? [ours] : [ours, peer];
const figures: Figures = { rounds, peer: peer !== null };
let held = true;

for (const row of ROWS) {
  const outcomes = new Map<string, Outcome[]>(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that neither always has the warmer machine.
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const outcome = await flood(subject, row);
      outcomes.get(subject.name)?.push(outcome);
      console.log(`${row.name}: ${subject.name} ${JSON.stringify(outcome)}`);
      await Bun.sleep(PAUSE_MS);
    }
  }
  for (const [name, all] of outcomes) {
    const found = all.filter((one) => one.found).length;
    const put = (what: string, value: number | null) => {
      figures[`${row.name}: ${name}, ${what}`] = value;
    };
    put(`found of ${rounds}`, found);
    put("line to found, median ms", median(all.flatMap(({ latencyMs }) => latencyMs ?? [])));
    put("line to found, max ms", Math.max(0, ...all.map(({ latencyMs }) => latencyMs ?? 0)));
    put("lines written, median", median(all.map(({ written }) => written)));
    put("CPU, median ms", median(all.map(({ cpuMs }) => cpuMs)));
    put("PSS after it, max MiB", Math.max(...all.map(({ pssMib }) => pssMib)));
    const lost = all.flatMap((one) => one.lost ?? []);
    put("lines reported as lost, median", lost.length === 0 ? null : median(lost));
    if (name === ours.name && found < rounds) held = false;
  }
}
await ours.close();
peer?.close();
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures, null, 2));
process.exit(held ? 0 : 1);
