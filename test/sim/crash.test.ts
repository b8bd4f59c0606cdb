/**
 * The share of crash and freeze enumeration that every test run does: every single crash of every
 * workflow at every class of provider and for every way the cloud may answer; pairs of crashes from
 * a fixed and from a fresh seed; processes that are frozen and go on. The whole of it is
 * `npm run once -- schedules`.
 */
import { expect, test } from "bun:test";
import {
  beginningOf,
  enumerate,
  newTally,
  sample,
  type Tally,
} from "../../simulator/crash/enumerate.ts";
import type { Cell } from "../../simulator/crash/life.ts";
import { REPLIES, replyOf } from "../../simulator/crash/reply.ts";
import { CLASSES, WORKFLOWS } from "../../simulator/crash/workflow.ts";
import { freeze } from "../../simulator/crash/zombie.ts";
import { seeded } from "../../simulator/setting.ts";

function told({ workflow, class: cls, reply }: Cell, { found }: Tally): string {
  if (found === null) return "";
  const crashes = found.path.join(" → ") || "no crash";
  return `${workflow.name}, ${cls}, ${reply.name}: ${crashes}\n${found.wrong.join("\n")}`;
}

for (const workflow of WORKFLOWS) {
  test(`a crash before or after any write or call of ${workflow.name} costs nothing`, async () => {
    let schedules = 0;
    for (const cls of CLASSES) {
      for (const reply of REPLIES) {
        const cell: Cell = { workflow, class: cls, reply };
        const tally = newTally(1);
        await enumerate(cell, { depth: 1 }, tally);
        expect(told(cell, tally)).toBe("");
        schedules += tally.schedules[1] ?? 0;
      }
    }
    expect(schedules).toBeGreaterThan(1_000);
  }, 120_000);
}

async function pairs(seed: number): Promise<number> {
  const random = seeded(seed);
  let schedules = 0;
  for (const workflow of WORKFLOWS) {
    for (const cls of CLASSES) {
      const reply = REPLIES[Math.floor(random() * REPLIES.length)] ?? replyOf("ok");
      const cell: Cell = { workflow, class: cls, reply };
      const tally = newTally(2);
      await sample(cell, { depth: 2, walks: 2, leaves: 5, random }, tally);
      expect(`seed ${seed} ${told(cell, tally)}`).toBe(`seed ${seed} `);
      schedules += tally.schedules[2] ?? 0;
    }
  }
  return schedules;
}

test("two crashes of any workflow cost nothing (fixed seed)", async () => {
  expect(await pairs(20_261_121)).toBe(WORKFLOWS.length * CLASSES.length * 10);
}, 120_000);

test("two crashes of any workflow cost nothing (fresh seed)", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`crash pairs: seed ${seed}`);
  expect(await pairs(seed)).toBe(WORKFLOWS.length * CLASSES.length * 10);
}, 120_000);

for (const cls of CLASSES) {
  test(`a process that was frozen and goes on costs nothing (${cls})`, async () => {
    const random = seeded(7);
    const rested = new Set<string>();
    let held = 0;
    for (const workflow of WORKFLOWS) {
      const cell: Cell = { workflow, class: cls, reply: replyOf("ok") };
      const { start, given } = await beginningOf(cell);
      for (let i = 0; i < 12; i++) {
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
    expect(held).toBeGreaterThan(WORKFLOWS.length * 6);
  }, 120_000);
}
