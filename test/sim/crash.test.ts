/**
 * The share of crash and freeze enumeration that every test run does: every single crash of every
 * workflow at every class of provider and for every way the cloud may answer; pairs of crashes from
 * a fixed and from a drawn seed; processes that are frozen and go on. The whole of it is
 * `npm run once -- schedules`.
 */
import { expect, test } from "bun:test";
import { drawSeed } from "../seed.ts";
import { beginningOf, enumerate, newTally, sample, type Tally } from "./crash/enumerate.ts";
import type { Cell } from "./crash/life.ts";
import { REPLIES, replyOf } from "./crash/reply.ts";
import { CLASSES, WORKFLOWS } from "./crash/workflow.ts";
import { freeze } from "./crash/zombie.ts";
import { seeded } from "../../simulator/engine/random.ts";

function told({ workflow, class: cls, reply }: Cell, { found }: Tally): string {
  if (found === null) return "";
  const crashes = found.path.join(" → ") || "no crash";
  return `${workflow.name}, ${cls}, ${reply.name}: ${crashes}\n${found.wrong.join("\n")}`;
}

/** Answers of the cloud with which every single crash is looked at; the others are drawn from. */
const EXHAUSTED = ["ok", "lost-reply"];

for (const workflow of WORKFLOWS) {
  test(`a crash before or after any write or call of ${workflow.name} costs nothing`, async () => {
    for (const cls of CLASSES) {
      // Only where nothing can refuse a late ask does it matter how late it is.
      const names = cls === "tag-only" ? [...EXHAUSTED, "too-late"] : EXHAUSTED;
      for (const name of names) {
        const cell: Cell = { workflow, class: cls, reply: replyOf(name) };
        const tally = newTally(1);
        await enumerate(cell, { depth: 1 }, tally);
        expect(told(cell, tally)).toBe("");
        expect(tally.schedules[1]).toBeGreaterThan(40);
      }
    }
  }, 120_000);
}

/** One crash with each answer of the cloud, and two, of each workflow; drawn. */
async function draw(seed: number): Promise<void> {
  const random = seeded(seed);
  for (const workflow of WORKFLOWS) {
    for (const cls of CLASSES) {
      const reply = REPLIES[Math.floor(random() * REPLIES.length)] ?? replyOf("ok");
      const cell: Cell = { workflow, class: cls, reply };
      for (const depth of [1, 2]) {
        const tally = newTally(2);
        await sample(cell, { depth, walks: 1, leaves: 6, random }, tally);
        expect(`seed ${seed} ${told(cell, tally)}`).toBe(`seed ${seed} `);
        expect(tally.schedules[depth]).toBe(6);
      }
    }
  }
}

test("one or two crashes of any workflow cost nothing (fixed seed)", async () => {
  await draw(20_261_121);
}, 120_000);

test("one or two crashes of any workflow cost nothing (drawn seed)", async () => {
  const seed = drawSeed();
  console.log(`crash schedules: seed ${seed}`);
  await draw(seed);
}, 120_000);

for (const cls of CLASSES) {
  test(`a process that was frozen and goes on costs nothing (${cls})`, async () => {
    const random = seeded(7);
    const rested = new Set<string>();
    let held = 0;
    for (const workflow of WORKFLOWS) {
      const cell: Cell = { workflow, class: cls, reply: replyOf("ok") };
      const { start, given } = await beginningOf(cell);
      for (let i = 0; i < 8; i++) {
        const wanted = {
          at: 1 + Math.floor(random() * 30),
          side: random() < 0.5 ? ("b" as const) : ("a" as const),
          thawAt: 1 + Math.floor(random() * 60),
        };
        const thawed = await freeze(cell, start, given, wanted, { rested });
        const where = `${workflow.name}, frozen at ${thawed.held}, on at ${wanted.thawAt}`;
        expect(`${where}: ${thawed.wrong.join("\n")}`).toBe(`${where}: `);
        if (thawed.held !== null) held++;
      }
    }
    expect(held).toBeGreaterThan(WORKFLOWS.length * 4);
  }, 120_000);
}
