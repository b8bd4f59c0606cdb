/** Hostlists mean to Slurm what they mean here: its own tools expand and compress the same names. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { compressHostlist, expandHostlist } from "../../../reconciler/core/slurm/hostlist.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm, SLURM_VERSIONS } from "./package.ts";

const LIMIT_MS = 120_000;
const RUNS = 100;

const number = fc.tuple(fc.nat(140), fc.nat(3)).map(([n, width]) => String(n).padStart(width, "0"));
const range = fc
  .tuple(number, fc.nat(5))
  .map(([low, more]) => `${low}-${String(Number(low) + more).padStart(low.length, "0")}`);
const bracket = fc
  .array(fc.oneof(number, range), { minLength: 1, maxLength: 3 })
  .map((parts) => `[${parts.join(",")}]`);
const item = fc
  .tuple(
    fc.constantFrom("n", "r1-", "a.b", "x_"),
    bracket,
    fc.constantFrom("", "y", "-ib-"),
    bracket,
  )
  .chain(([start, one, middle, two]) =>
    fc.constantFrom(start, start + one, start + one + middle + two),
  )
  // A name may not end with a dash or dot.
  .map((text) => text.replace(/[-._]$/, "z"));
const hostlist = fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(","));

for (const version of SLURM_VERSIONS) {
  const isMissing = await missesSlurm(`hostlists of Slurm ${version}`, version);
  let slurm: SlurmCluster | null = null;
  beforeAll(async () => {
    if (!isMissing) slurm = await openSlurm({ version, nodes: 1, isStarted: false });
  }, LIMIT_MS);
  afterAll(() => slurm?.close(), LIMIT_MS);

  const scontrol = async (what: string, text: string): Promise<string[]> => {
    const out = (await slurm?.scontrol("show", what, text)) ?? "";
    return out.split("\n").filter(Boolean);
  };

  test.skipIf(isMissing)(
    `Slurm ${version} expands a hostlist to the same names in the same order`,
    async () => {
      await fc.assert(
        fc.asyncProperty(hostlist, async (text) => {
          const answer = expandHostlist(text);
          expect(await scontrol("hostnames", text)).toEqual(
            answer.kind === "ok" ? [...answer.names] : [],
          );
        }),
        { numRuns: RUNS },
      );
    },
    LIMIT_MS,
  );

  test.skipIf(isMissing)(
    `Slurm ${version} expands what was compressed here, and compresses to a list of the same names`,
    async () => {
      await fc.assert(
        fc.asyncProperty(hostlist, async (text) => {
          const answer = expandHostlist(text);
          const names = new Set(answer.kind === "ok" ? answer.names : []);
          const own = await scontrol("hostnames", compressHostlist(names));
          expect(own.toSorted()).toEqual([...names].sort());
          const [theirs = ""] = await scontrol("hostlist", [...names].join(","));
          const back = expandHostlist(theirs);
          expect(back.kind === "ok" ? [...back.names].sort() : []).toEqual([...names].sort());
        }),
        { numRuns: RUNS },
      );
    },
    LIMIT_MS,
  );
}
