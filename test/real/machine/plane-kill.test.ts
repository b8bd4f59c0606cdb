/**
 * The control plane is killed at every step of a bootstrap of a real machine, and started again: it
 * goes on where the machine's marks end, and each command has run once, unless it was the one that
 * was cut short.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale } from "../../fixture/plane/plane.ts";
import { missesBed } from "./gate.ts";
import { BedPlane } from "./plane.ts";

const isMissing = await missesBed("kills in bootstraps, on machines");

/** Counted before and after its work, so that one which was cut short is seen to be. */
const counting = (n: number): string =>
  `echo begun >>/var/count.${n}; sleep 0.4; echo done >>/var/done.${n}`;
const OWN = [1, 2, 3];
/** connect, probe, credential, push, three of the template, and our own. */
const STEPS = 4 + 3 + OWN.length;

describe.skipIf(isMissing)("a control plane", () => {
  let on: BedPlane;
  beforeAll(async () => {
    await buildStale();
    on = await BedPlane.open({ pool: { setup_commands: OWN.map(counting) } });
  }, 300_000);
  afterAll(async () => expect((await on?.close()) ?? []).toEqual([]), 60_000);

  for (let k = 1; k <= STEPS; k++) {
    test(`killed at step ${k} of a bootstrap ends it after all`, async () => {
      const before = (await on.plane.nodes()).map(({ node_id }) => node_id);
      for (const old of before)
        await on.cli("terminate", old, "--force", "--reason", "test", "--yes");
      const { node_id, instance_id } = await on.waitNode(before);
      const seen = await on.waitAttempt(node_id, `step ${k}`, ({ steps }) => steps.length >= k);
      await on.plane.kill();
      const cut = seen.steps.at(-1);
      await on.restart();
      const [served] = await on.waitServing(1);
      expect(served?.node_id).toBe(node_id);
      const attempts = await on.attempts(node_id);
      expect(attempts[0]?.state).toBe("done");
      const machine = await on.bed.machine(instance_id ?? "");
      for (const n of OWN) {
        const [begun, done] = (await machine.must(`wc -l </var/count.${n}; wc -l </var/done.${n}`))
          .split("\n")
          .map(Number);
        const name = `setup_commands[${2 + n}]`;
        const mayRunAgain = cut?.name === name;
        const times = `${name}, killed at ${cut?.name}: begun ${begun}, done ${done}`;
        const fits = mayRunAgain ? Number(begun) <= 2 && Number(done) <= 2 : begun === 1;
        expect([times, fits && Number(done) >= 1]).toEqual([times, true]);
      }
      expect(await on.bed.machines()).toHaveLength(1);
    }, 90_000);
  }
});
