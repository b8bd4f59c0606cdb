/**
 * Many drains at once on a real controller of each release, by the commands and over slurmrestd:
 * each node gets its own reason, and one that a person holds keeps that person's.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { SlurmMark } from "../../../reconciler/core/slurm/sink.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";
import { clientOf, openSinkBed, type SinkBed } from "./sink-bed.ts";

const LIMIT_MS = 120_000;
const CLOUD = 62;
const HELD = 8;
const NAMES = ["n0", "n1", ...Array.from({ length: CLOUD }, (_, index) => `c${index}`)];
const THEIRS = new Set(NAMES.slice(-HELD));

const reasonOf = (name: string): string => `navarch:${name}.s1 XID79 it's "lost" = $(${name}) ü`;

/** Asks again for what had no turn, as the control plane does. */
async function inTurn(names: readonly string[], mark: (name: string) => Promise<SlurmMark>) {
  const answers = new Map<string, SlurmMark>();
  for (let left = [...names]; left.length > 0;) {
    await Promise.all(left.map(async (name) => answers.set(name, await mark(name))));
    left = left.filter((name) => answers.get(name)?.kind === "unsent");
  }
  return answers;
}

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`many drains in Slurm ${version}`, version);
  describe.skipIf(isMissing)(`Slurm ${version}`, () => {
    let opened: SlurmCluster | null = null;
    const cluster = (): SlurmCluster => {
      if (opened === null) throw new Error("no cluster");
      return opened;
    };
    beforeAll(async () => {
      opened = await openSlurm({ version, nodes: 2, cloud: CLOUD, isRest: true });
    }, LIMIT_MS);
    afterAll(() => opened?.close(), LIMIT_MS);

    test.each(["cli", "socket"] as const)(
      "S28: of 64 nodes drained at once each has its reason, and a person's is kept (%s)",
      async (via) => {
        const slurm = cluster();
        const client = clientOf(slurm, via);
        const bed: SinkBed = openSinkBed(client);
        const shown = async () => {
          const answer = await client.nodes();
          if (answer.kind !== "ok") throw new Error(answer.message);
          return new Map(answer.value.map((node) => [node.name, node]));
        };
        try {
          await bed.untilFresh(LIMIT_MS);
          const theirs = `nodename=${[...THEIRS].join(",")}`;
          await slurm.scontrol("update", theirs, "state=drain", "reason=maint by alice");
          const marks = await inTurn(NAMES, (name) => bed.drain(name, reasonOf(name)));
          const drained = await shown();
          for (const name of NAMES) {
            const owner = THEIRS.has(name) ? "foreign" : "own";
            expect([name, marks.get(name)]).toMatchObject([name, { kind: "ok", owner }]);
            const reason = owner === "own" ? reasonOf(name) : "maint by alice";
            expect(drained.get(name)?.reason).toBe(reason);
            expect(drained.get(name)?.flags).toContain("DRAIN");
          }
          await inTurn(NAMES, (name) => bed.undrain(name));
          const released = await shown();
          const held = NAMES.filter((name) => released.get(name)?.flags.includes("DRAIN"));
          expect(held.sort()).toEqual([...THEIRS].sort());
          await slurm.scontrol("update", theirs, "state=undrain");
        } finally {
          bed.close();
        }
      },
      LIMIT_MS,
    );
  });
}
