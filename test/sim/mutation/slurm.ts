/**
 * Each mechanism of the Slurm side taken out, and the story in virtual time that must then go wrong
 * by slurmctld's own books.
 */
import type { Mutation } from "./list.ts";

const SWARM = { file: "test/sim/swarm.test.ts", name: "in slurm, seed 13" };

type Patch = Mutation["patches"][number];

const one = (name: string, ...patches: Patch[]): Mutation => ({ name, patches, test: SWARM });

/** In others' acts, and the story in which people do them. */
const held = (name: string, act: string, patch: Omit<Patch, "file">): Mutation => ({
  name,
  patches: [{ file: "reconciler/core/slurm/hold.ts", ...patch }],
  test: { ...SWARM, name: `nothing ends while people hold it .${act}` },
});

const MARKER = "reconciler/slurm/marker.ts";
const LEFT = "reconciler/core/slurm/left.ts";
const DECIDE = "reconciler/core/decide/slurm.ts";

export const SLURM_MUTATIONS: readonly Mutation[] = [
  {
    name: "jobs of Slurm are not waited for",
    test: { ...SWARM, name: "seed 6552 holds" },
    patches: [
      {
        file: LEFT,
        from: "const jobs = listed.filter(({ state }) => !isAway(state));",
        to: "const jobs = listed.filter(() => false);",
      },
      {
        file: LEFT,
        from: 'if (state === "busy" || state === "draining") {',
        to: 'if (name === "") {',
      },
      {
        file: LEFT,
        from: 'if (state === "drained" || state === "down" || isOff)',
        to: 'if (state !== "unknown" || isOff)',
      },
    ],
  },
  one("a node is set DOWN for its drain", {
    file: MARKER,
    from: '{ state: "drain", reason }',
    to: '{ state: "down", reason }',
  }),
  one(
    "another's drain in Slurm is taken over",
    { file: MARKER, from: '    if (owner === "foreign") return shown(before);\n', to: "" },
    {
      file: DECIDE,
      from: 'slurm === null || slurm.owner === "foreign" || isHeldOff',
      to: "slurm === null || isHeldOff",
    },
    {
      file: DECIDE,
      from: 'if (slurm.drain || slurm.owner === "foreign" || isHeldOff(node, slurm)) return null;',
      to: "if (isHeldOff(node, slurm)) return null;",
    },
  ),
  {
    name: "a release does not wait for the new machine's slurmd",
    test: { file: "reconciler/core/slurm/mark.test.ts", name: "hasRegistered" },
    patches: [
      {
        file: "reconciler/core/slurm/mark.ts",
        from: "  if (!hasChanged(node, slurm)) return true;",
        to: "  if (slurm.name !== null) return true;",
      },
    ],
  },
  one("a drain in Slurm is never released", {
    file: DECIDE,
    from: "if (!isPending(node) || unreleasedBy(node, scope) !== null) return null;",
    to: "if (!isPending(node) || isResting(0, 0)) return null;\n  if (slurm.drain) return null;",
  }),
  {
    name: "an order of Slurm is sent however late",
    test: { ...SWARM, name: "two control planes in slurm, seed 14" },
    patches: [
      {
        file: MARKER,
        from: "if (waitedMs <= SEND_WITHIN_MS) return null;",
        to: "if (waitedMs >= 0) return null;",
      },
    ],
  },
  {
    name: "a Slurm that does not answer counts as seen",
    test: { file: "reconciler/core/decide/slurm.test.ts", name: "a dark Slurm is never" },
    patches: [
      {
        file: "reconciler/slurm/slurm.ts",
        from: 'if (dark !== null) return { kind: "dark", message: dark };',
        to: 'if (dark !== null) return { kind: "empty", seenAt: Number.MAX_SAFE_INTEGER };',
      },
      { file: DECIDE, from: "  if (sight.dark !== null) {", to: '  if (sight.dark === "") {' },
    ],
  },
  held("what people do in Slurm stops no repair", "take", {
    from: "  return slurm?.held === true && slurm.absentSince",
    to: "  return slurm?.held === null && slurm.absentSince",
  }),
  held("a MAINT reservation stops no repair", "reserve", {
    from: 'if (row.flags.includes("MAINTENANCE")) {',
    to: 'if (row.flags.includes("MAINTENANCE") && row.reason === "") {',
  }),
  held("a reboot that was asked for stops no repair", "reboot", {
    from: 'if (isRebooting) acts.push({ kind: "reboot", by, why });\n  else if (isTheirs)',
    to: "if (isTheirs && !isRebooting)",
  }),
];
