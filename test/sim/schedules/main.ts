/**
 * `bun run test/sim/schedules/main.ts --schedules N --seed N`: crash schedules in bulk. Every cell
 * (workflow × provider class × reply) is enumerated up to two crashes, then schedules of three are
 * drawn until N are covered. Prints what was covered, what was run, how fast, and the first
 * schedule that went wrong, as short as it can be.
 */
import { parseArgs } from "node:util";
import { enumerate, newTally, sample, shortest, type Tally } from "../crash/enumerate.ts";
import type { Cell } from "../crash/life.ts";
import { REPLIES, replyOf } from "../crash/reply.ts";
import { CLASSES, WORKFLOWS, workflowOf } from "../crash/workflow.ts";
import { seeded } from "../../../simulator/engine/random.ts";

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    workflow: { type: "string" },
    class: { type: "string" },
    reply: { type: "string" },
    depth: { type: "string", default: "3" },
    figures: { type: "string" },
  },
});
const wanted = Number(values.schedules);
const depth = Number(values.depth);
const seed = Number(values.seed);
const random = seeded(seed);

const cells: Cell[] = [];
const only = values.workflow === undefined ? WORKFLOWS : [workflowOf(values.workflow)];
const replies = values.reply === undefined ? REPLIES : [replyOf(values.reply)];
for (const reply of replies) {
  for (const workflow of only) {
    for (const cls of CLASSES) {
      if (values.class === undefined || values.class === cls) {
        cells.push({ workflow, class: cls, reply });
      }
    }
  }
}

const begun = performance.now();
const total = newTally(3);
const covered = (): number => total.schedules.reduce((sum, n) => sum + n, 0);

function add(tally: Tally): void {
  tally.schedules.forEach((n, i) => (total.schedules[i] = (total.schedules[i] ?? 0) + n));
  total.lives += tally.lives;
}

function figures(): string {
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage();
  const cpu = (user + system) / 1e6;
  const all = covered();
  const byCrashes = total.schedules.map((n, i) => `${n} with ${i}`).join(", ");
  return (
    `${all} schedules (${byCrashes} crashes) by ${total.lives} lives in ${seconds.toFixed(0)} s, ` +
    `${cpu.toFixed(0)} s of CPU: ${(all / cpu).toFixed(0)} schedules and ` +
    `${(total.lives / cpu).toFixed(0)} lives a second of CPU; seed ${seed}`
  );
}

async function look(cell: Cell, tally: Tally): Promise<void> {
  add(tally);
  if (tally.found === null) return;
  const name = `${cell.workflow.name}, ${cell.class}, reply ${cell.reply.name}`;
  const short = (await shortest(cell, Math.min(2, tally.found.path.length))) ?? tally.found;
  console.error(`violation: ${name}, seed ${seed}`);
  console.error(`crashes: ${short.path.join(" → ") || "none"}`);
  for (const line of short.wrong) console.error(`  ${line}`);
  console.log(figures());
  process.exit(1);
}

for (const cell of cells) {
  const before = covered();
  const tally = newTally(Math.min(depth, 2));
  await enumerate(cell, { depth: Math.min(depth, 2) }, tally);
  await look(cell, tally);
  const { workflow, class: cls, reply } = cell;
  const name = `${workflow.name} ${cls} ${reply.name}`;
  const here = covered() - before;
  console.log(`${name}: ${here} schedules, ${tally.lives} lives; so far ${covered()}`);
  if (depth < 3 && covered() >= wanted) break;
}
for (let round = 0; depth >= 3 && (round === 0 || covered() < wanted); round++) {
  for (const cell of cells) {
    const tally = newTally(3);
    await sample(cell, { depth: 3, walks: 4, leaves: 8, random }, tally);
    await look(cell, tally);
  }
}
console.log(figures());
console.log("0 violations");
if (values.figures !== undefined) {
  const wallMs = Math.round(performance.now() - begun);
  const told = { schedules: covered(), crashes: total.schedules, lives: total.lives, wallMs, seed };
  await Bun.write(values.figures, JSON.stringify({ ...told, violations: 0 }));
}
