/**
 * Which room may import which: the arrows of the architecture, as two tables, one for the rooms at
 * the top and one for the rooms inside each. An arrow that is missing here is forbidden; adding one
 * is a decision, for docs/decisions with its reason. No arrows form a cycle, types counted. Tests
 * may import anything, and nothing may import a test.
 */
import { basename, dirname, join, normalize } from "node:path";
import { isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

export type Import = { specifier: string; line: number };

/**
 * Every import of a file, type-only ones too, in the order of their lines. oxlint bans `require`
 * and `import("x").Y` as a type. A program named by `new URL` is started rather than imported:
 * the fake cloud runs the agent so, and the wall between them is the process.
 */
export function importsOf({ text, module }: Source): Import[] {
  const again = module.staticExports.flatMap(({ entries }) =>
    entries.slice(0, 1).flatMap(({ moduleRequest }) => moduleRequest ?? []),
  );
  const requests = [...module.staticImports.map((one) => one.moduleRequest), ...again];
  const late = module.dynamicImports.map(({ moduleRequest: { start, end } }) => {
    return { start, value: text.slice(start + 1, end - 1) };
  });
  return [...requests, ...late]
    .sort((a, b) => a.start - b.start)
    .map(({ value, start }) => ({ specifier: value, line: lineAt(text, start) }));
}

/** The repository path that a relative specifier means, or `null` for a package. */
export function targetOf(path: string, specifier: string): string | null {
  return /^\.\.?\//.test(specifier) ? normalize(join(dirname(path), specifier)) : null;
}

type Room = {
  /** Rooms it may import besides itself. */
  rooms: readonly string[];
  /** Single files of other rooms. */
  files?: RegExp;
  /** Packages; absent means any. `node:` and `bun` are packages here. */
  packages?: RegExp;
};

/** What judges evidence and what decides may not even name the world around it (law 1). */
const PURE = /^(valibot|re2js|@bufbuild\/cel(\/.*)?|@marcbachmann\/cel-js)$/;

const ROOMS: Readonly<Record<string, Room>> = {
  schema: { rooms: [], packages: /^valibot$/, files: /^package\.json$/ },
  health: { rooms: ["schema"], packages: PURE },
  agent: { rooms: ["schema", "health", "systemd"] },
  bootstrap: { rooms: ["schema", "systemd"] },
  reconciler: { rooms: ["schema", "health", "bootstrap", "systemd"] },
  /**
   * The agent's core and what it is driven by: its ports, the parts it is composed of, and the pure
   * readers of what a machine says. A simulated machine runs the very agent that a real one does;
   * the adapters that touch a real machine stay out of reach.
   */
  simulator: {
    rooms: ["schema", "health", "bootstrap", "reconciler"],
    files: new RegExp(
      "^agent/(port|reading|trust|spool/spool(-storage)?" +
        // A simulated agent in real time reports over the network, as a real one does.
        "|report/(part|core|listen|promise|address|send|token)" +
        "|command/order|probe/probe|nvml/healthy|kernel/(fact|finding))\\.ts$",
    ),
  },
  cli: { rooms: ["schema", "health", "bootstrap", "reconciler", "simulator", "deploy"] },
  // The packages carry manual pages and completions, made from the tables of flags and commands.
  build: { rooms: ["agent", "cli"] },
  systemd: { rooms: [] },
  // The definition of AgentPool and its reader share names and defaults.
  deploy: { rooms: [], files: /^schema\/(agentpool-resource|nearest|version)\.ts$/ },
};

/**
 * The rooms inside a room, each with those beside it that it may import. A file that lies beside
 * them is a room of its own: it may be imported and may import, as long as there is no cycle.
 */
const INNER: Readonly<Record<string, readonly string[]>> = {
  "agent/command": [],
  "agent/host": ["probe"],
  "agent/kernel": [],
  "agent/nvml": [],
  "agent/probe": ["nvml"],
  "agent/report": ["command", "host", "kernel", "probe", "spool"],
  "agent/service": ["command", "host", "kernel", "nvml", "probe", "report", "slurm", "spool"],
  /** What Slurm's health check reads and does; it runs beside the agent, not in it. */
  "agent/slurm": ["report"],
  "agent/spool": [],
  "bootstrap/builtin": [],
  "bootstrap/install": [],
  "bootstrap/run": ["template"],
  "bootstrap/ssh": ["run"],
  "bootstrap/template": [],
  "build/deb": ["release"],
  "build/release": [],
  "cli/command": [],
  /** Generators of the definition of AgentPool and of its permissions: pure. */
  "deploy/agentpool": [],
  /** One description of the console's set, for its command and for the guide's charts: pure. */
  "deploy/console": [],
  /** Generators of a Slurm cluster: pure, from an inventory to files. */
  "deploy/slurm": [],
  "health/catalog": [],
  "health/cel": [],
  "health/policy": ["catalog", "cel"],
  /** Pools of worker pods: the leader's actor, and the adapter to the cluster that holds them. */
  "reconciler/agentpool": ["core", "google", "kubernetes"],
  "reconciler/config": ["core"],
  /** Everything pure, and the ports as types. */
  "reconciler/core": [],
  /** Google's access tokens, for Compute Engine and for clusters of GKE. */
  "reconciler/google": ["core"],
  "reconciler/http": ["config", "core", "runtime", "security"],
  "reconciler/kubernetes": ["core"],
  "reconciler/metric": ["core", "program"],
  /** Runs the executables of operators: providers and metrics sources. */
  "reconciler/program": ["core"],
  // CoreWeave's API is that of a Kubernetes cluster.
  "reconciler/provider": ["core", "google", "kubernetes", "program", "security"],
  "reconciler/runtime": ["core", "security", "store"],
  "reconciler/security": ["core"],
  /** Where a control plane is put together: what only it may import is every adapter. */
  "reconciler/server": [
    "agentpool",
    "config",
    "core",
    "http",
    "kubernetes",
    "metric",
    "program",
    "provider",
    "runtime",
    "security",
    "slurm",
    "store",
    "trace",
  ],
  /** The command-line tools of Slurm are programs. */
  "reconciler/slurm": ["core", "program"],
  "reconciler/store": ["core"],
  /** Sends finished spans to a collector. */
  "reconciler/trace": ["core"],
  /** The tables of configuration keys: data only. */
  "schema/config": [],
  /** What the console's API and pages show. */
  "schema/console": [],
  "schema/migration": [],
  /** One process for the agents of thousands of virtual Nodes, in real time. */
  "simulator/agent": ["machine", "scenario"],
  "simulator/bundle": [],
  "simulator/cluster": ["engine"],
  "simulator/engine": [],
  "simulator/machine": ["scenario"],
  "simulator/replay": [],
  "simulator/report": ["run", "scenario"],
  "simulator/run": ["cluster", "engine", "machine", "scenario", "stack"],
  "simulator/scenario": ["bundle", "engine"],
  "simulator/stack": ["cluster", "engine", "machine", "scenario"],
  /** Ordered tasks against a Kubernetes API: the rehearsal of an operator. */
  "simulator/workflow": [],
};

/** Rooms in which no file lies beside the inner rooms. */
const WHOLE: readonly string[] = ["reconciler", "simulator"];

/** Parts of a room that have a law of their own, in place of the room's packages. */
const PARTS: readonly { path: RegExp; packages: RegExp }[] = [
  { path: /^schema\/(table\.ts$|migration\/)/, packages: /^(valibot|drizzle-orm(\/.*)?)$/ },
  // Computes dates from an expression; its timers are never started.
  { path: /^reconciler\/core\/scaling\/cron\.ts$/, packages: /^croner$/ },
  // A digest is pure; what else node:crypto offers, randomness, is banned by its names.
  // So is telling what form an address has, all that is taken of node:net.
  {
    path: /^reconciler\/core\//,
    packages: new RegExp(`${PURE.source}|^node:(crypto|net)$`),
  },
];

/**
 * `bun:ffi` can crash the process: it stays behind the wall of the probe child, and in two places
 * that make single calls into libc: sd_notify, and memory for the database's addon.
 */
const FFI = /^(agent\/nvml\/|systemd\/notify\.ts$|build\/memory-addon\.ts$)/;

const RULE = "import";

export function judgeImports(source: Source): Violation[] {
  const { path } = source;
  if (isTest(path) || path.startsWith("test/")) return [];
  const room = path.split("/")[0] ?? "";
  const law = ROOMS[room];
  if (law === undefined) {
    const what = `${room} is not a room of the house: add it to test/tidy/import.ts`;
    return [{ path, line: 1, rule: RULE, what }];
  }
  const inner = innerOf(path);
  if (inner === path ? WHOLE.includes(room) : !(inner in INNER)) {
    const what = `${inner} is in no room of ${room}/: see test/tidy/import.ts`;
    return [{ path, line: 1, rule: RULE, what }];
  }
  return importsOf(source).flatMap(({ specifier, line }) => {
    const what = judgeImport(path, room, law, specifier) ?? judgeInner(path, specifier);
    return what === null ? [] : [{ path, line, rule: RULE, what }];
  });
}

/** The inner room of a path: two folders, or the file itself where it lies beside them. */
function innerOf(path: string): string {
  const [room, folder, rest] = path.split("/");
  return rest === undefined ? path : `${room}/${folder}`;
}

function judgeInner(path: string, specifier: string): string | null {
  const [from, to] = [innerOf(path), innerOf(targetOf(path, specifier) ?? path)];
  const allowed = INNER[from];
  if (from === to || allowed === undefined || INNER[to] === undefined) return null;
  const isInside = dirname(from) === dirname(to);
  return isInside && !allowed.includes(basename(to)) ? `${from}/ may not import ${to}/` : null;
}

/** Inner rooms that import each other, over however many others; one violation a cycle. */
export function judgeCycles(sources: readonly Source[]): Violation[] {
  const arrows = new Map<string, Map<string, Violation>>();
  for (const source of sources) {
    if (isTest(source.path) || source.path.startsWith("test/")) continue;
    const from = innerOf(source.path);
    for (const { specifier, line } of importsOf(source)) {
      const target = targetOf(source.path, specifier);
      const to = target === null ? from : innerOf(target);
      if (to === from) continue;
      const arrow = { path: source.path, line, rule: RULE, what: `${from} → ${to}` };
      const known = arrows.get(from) ?? new Map<string, Violation>();
      arrows.set(from, known.has(to) ? known : known.set(to, arrow));
    }
  }
  const done = new Set<string>();
  return [...arrows.keys()].sort().flatMap((room) => findCycle(arrows, room, [], done));
}

/** Depth first: what is reached again before it is done closes a cycle. */
function findCycle(
  arrows: ReadonlyMap<string, ReadonlyMap<string, Violation>>,
  room: string,
  way: readonly string[],
  done: Set<string>,
): Violation[] {
  if (done.has(room)) return [];
  const found = [...(arrows.get(room) ?? [])].flatMap(([to, arrow]) => {
    const start = [...way, room].indexOf(to);
    if (start < 0) return findCycle(arrows, to, [...way, room], done);
    const rooms = [...way, room].slice(start);
    return [{ ...arrow, what: `a cycle: ${[...rooms, to].join(" → ")}` }];
  });
  done.add(room);
  return found;
}

function judgeImport(path: string, room: string, law: Room, specifier: string): string | null {
  const target = targetOf(path, specifier);
  if (target === null) return judgePackage(path, room, law, specifier);
  if (target.startsWith("..")) return `${specifier} is outside the repository`;
  if (isTest(target)) return `${target} is a test`;
  const other = target.includes("/") ? (target.split("/")[0] ?? "") : "";
  if (other === room || law.rooms.includes(other) || law.files?.test(target)) return null;
  if (other === "") return `${room}/ may not import ${target}`;
  return `${room}/ may not import ${other}/ (${target})`;
}

function judgePackage(path: string, room: string, law: Room, name: string): string | null {
  if (name === "bun:ffi" && !FFI.test(path)) return "bun:ffi belongs to agent/nvml/ alone";
  const allowed = PARTS.find((part) => part.path.test(path))?.packages ?? law.packages;
  if (allowed === undefined || allowed.test(name)) return null;
  return `${dirname(path) === "." ? room : dirname(path)}/ may not import ${name}`;
}
