/**
 * Lanes: tests with real parts, or minutes long. A lane runs in the check of a commit when what it
 * judges has changed since it passed whole, when that was long ago, and one more in turn. Pure.
 */
import { createHash } from "node:crypto";

export type Lane = {
  name: string;
  /** Files and folders of tests; empty for the files that boot machines, which are found. */
  tests: readonly string[];
  /**
   * What its programs are made of, as no import leads from a test to a binary. `core`, `runtime`
   * and `schema` are of all lanes, and so of none: ordinary tests and stories judge them.
   */
  rooms: readonly string[];
  /** One story of it, for a check in which the lane is not due. */
  story: string | null;
  /** It keeps a core busy. */
  loads?: true;
};

/** The files that boot machines take the place of `tests`. */
export const MACHINES = "machines";

const CLUSTER = ["reconciler/kubernetes", "reconciler/core/kubernetes", "test/real/kubernetes"];

export const LANES: readonly Lane[] = [
  {
    name: "kubernetes",
    tests: ["test/real/kubernetes"],
    rooms: [...CLUSTER, "reconciler/provider/coreweave", "deploy"],
    story: "test/real/kubernetes/replacement.test.ts",
  },
  {
    name: "agentpool",
    tests: ["test/real/agentpool"],
    rooms: [...CLUSTER, "reconciler/agentpool", "reconciler/core/agentpool", "deploy/agentpool"],
    story: null,
  },
  {
    name: MACHINES,
    tests: [],
    rooms: [
      ...["bootstrap", "systemd", "agent", "reconciler/provider/ssh"],
      ...["test/fixture/machine", "test/real/machine", "test/install", "test/systemd"],
    ],
    story: "test/real/machine/first-pool.test.ts",
  },
  {
    name: "workflow",
    tests: ["test/real/workflow"],
    rooms: [...CLUSTER, "simulator/workflow", "reconciler/provider/kwok", "deploy/workflow"],
    story: null,
  },
  {
    name: "slurm",
    tests: ["test/real/slurm"],
    rooms: ["reconciler/slurm", "reconciler/core/slurm", "agent/slurm", "deploy/slurm"],
    story: "test/real/slurm/first-drain.test.ts",
  },
  {
    name: "console",
    tests: ["test/real/console"],
    rooms: [...CLUSTER, "reconciler/http", "deploy/console", "deploy/guide/kai"],
    story: "test/real/console/overview.test.ts",
  },
  {
    name: "scenario",
    tests: ["test/simulate/bundle.test.ts", "test/simulate/field.test.ts"],
    rooms: ["simulator", "health", "reconciler/core"],
    // They run cut short among the ordinary tests.
    story: null,
    loads: true,
  },
  {
    name: "page",
    tests: ["test/docs/page.test.ts", "test/docs/contributing.test.ts"],
    rooms: ["docs", "cli", "deploy"],
    story: null,
    loads: true,
  },
];

/** Set to the name of the lane that runs, for tests that are cut short otherwise. */
export const LANE_VARIABLE = "NAVARCH_LANE";

/** Lanes side by side, of about the same time; the last one loads a core. */
export const TRACKS: readonly (readonly string[])[] = [
  ["kubernetes", "agentpool"],
  [MACHINES, "workflow"],
  ["slurm", "console"],
  ["scenario", "page"],
];

/** Of every lane. */
const SHARED = ["build", "package-lock.json", "package.json", "bunfig.toml"];

export type Tracked = { path: string; blob: string };

/** Whether a change of the file makes the lane due. Other lanes' tests do not. */
export function isOf({ rooms, tests }: Lane, path: string, machines: readonly string[]): boolean {
  const own = tests.length === 0 ? machines : tests;
  const isBelow = (folder: string): boolean => path === folder || path.startsWith(`${folder}/`);
  if (own.some(isBelow)) return true;
  return !path.endsWith(".test.ts") && [...rooms, ...SHARED].some(isBelow);
}

export function digestOf(
  lane: Lane,
  files: readonly Tracked[],
  machines: readonly string[],
): string {
  const hash = createHash("sha256");
  const own = files.filter(({ path }) => isOf(lane, path, machines));
  const lines = own.map(({ path, blob }) => `${blob} ${path}\n`).sort();
  for (const line of lines) hash.update(line);
  return hash.digest("hex").slice(0, 16);
}

/** The newest whole pass: the digest then, and how many commits ago it was written. */
export type Pass = { digest: string; commitsAgo: number };

const COMMITS_MAX = 150;

/** Why the lane runs; `null` = its last pass counts. No history, no pass that counts. */
export function whyDue(pass: Pass | null, digest: string): string | null {
  if (pass === null) return "no pass on record";
  if (pass.digest !== digest) return "changed";
  return pass.commitsAgo > COMMITS_MAX ? `passed ${pass.commitsAgo} commits ago` : null;
}

/** Lanes that run, with why: those that are due, and of the others one in turn of the commits. */
export function chooseLanes(
  due: ReadonlyMap<string, string | null>,
  head: string,
): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  for (const [name, why] of due) if (why !== null) chosen.set(name, why);
  const rest = [...due.keys()].filter((name) => !chosen.has(name));
  const turn = rest[Number.parseInt(head.slice(0, 8), 16) % Math.max(1, rest.length)];
  if (turn !== undefined) chosen.set(turn, "in turn");
  return chosen;
}
