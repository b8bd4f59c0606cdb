/**
 * Which room may import which: the arrows of the architecture, as two tables, one for the rooms at
 * the top and one for the rooms inside each. A room is a folder of the first three levels with the
 * files that lie in it and in folders below the third. An arrow that is missing here is forbidden;
 * adding one is a decision, for docs/decisions with its reason. No arrows form a cycle, types
 * counted, but for the few that `KNOTS` counts. Tests may import anything, and nothing may import a
 * test.
 */
import { dirname, join, normalize } from "node:path";
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
      "^agent/(port/(port|reading)|trust/trust|spool/spool(-storage)?" +
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
 * The rooms inside a room, each with what it may import: rooms beside it by name, with all that lies
 * in them; `..`, the files that lie in the folder above; `./name`, a room inside it, or `./*`, all
 * of them. What a room may import, the rooms inside it may, too.
 */
const INNER: Readonly<Record<string, readonly string[]>> = {
  "agent/command": ["port", "spool", "trust"],
  "agent/host": ["kernel", "port", "probe", "spool"],
  "agent/kernel": ["port"],
  "agent/nvml": ["kernel", "port", "spool"],
  "agent/port": [],
  "agent/probe": ["kernel", "nvml", "port"],
  "agent/report": ["command", "host", "kernel", "port", "probe", "spool", "trust"],
  "agent/service": [
    "command",
    "host",
    "kernel",
    "nvml",
    "port",
    "probe",
    "report",
    "slurm",
    "spool",
    "trust",
  ],
  /** What Slurm's health check reads and does; it runs beside the agent, not in it. */
  "agent/slurm": ["port", "report", "spool"],
  "agent/spool": ["port"],
  "agent/trust": ["spool"],
  bootstrap: [],
  "bootstrap/builtin": [],
  "bootstrap/install": [],
  "bootstrap/run": ["..", "template"],
  "bootstrap/ssh": ["..", "run"],
  "bootstrap/template": [],
  build: ["./deb", "./release"],
  "build/deb": ["release"],
  "build/release": [],
  cli: [],
  "cli/command": [".."],
  deploy: [],
  /** Generators of the definition of AgentPool and of its permissions: pure. */
  "deploy/agentpool": [],
  /** One description of the console's set, for its command and for the guide's charts: pure. */
  "deploy/console": [".."],
  /** Generators of a Slurm cluster: pure, from an inventory to files. */
  "deploy/slurm": [],
  "health/catalog": [],
  "health/cel": [],
  "health/policy": ["catalog", "cel"],
  /** Pools of worker pods: the leader's actor, and the adapter to the cluster that holds them. */
  "reconciler/agentpool": ["core", "google", "kubernetes"],
  "reconciler/config": ["core"],
  /** Everything pure, and the ports as types. */
  "reconciler/core": ["./say"],
  "reconciler/core/agentpool": ["scaling", "turn"],
  "reconciler/core/console": ["..", "kubernetes", "safety", "say", "turn"],
  "reconciler/core/cost": [".."],
  "reconciler/core/decide": [
    "..",
    "fold",
    "kubernetes",
    "safety",
    "say",
    "scaling",
    "slurm",
    "turn",
    "upgrade",
  ],
  "reconciler/core/fold": ["..", "cost", "kubernetes", "safety", "say", "slurm", "turn", "upgrade"],
  "reconciler/core/kubernetes": ["..", "say", "slurm"],
  "reconciler/core/safety": ["..", "cost", "say", "slurm", "turn"],
  "reconciler/core/say": [],
  "reconciler/core/scaling": ["..", "kubernetes", "safety", "slurm"],
  "reconciler/core/slurm": ["..", "say", "turn"],
  "reconciler/core/turn": [],
  "reconciler/core/upgrade": [".."],
  /** Google's access tokens, for Compute Engine and for clusters of GKE. */
  "reconciler/google": ["core"],
  "reconciler/http": ["./route", "config", "core", "runtime", "security"],
  "reconciler/http/metrics": ["view"],
  "reconciler/http/page": ["view"],
  "reconciler/http/route": ["metrics", "page", "view"],
  "reconciler/http/view": [],
  "reconciler/kubernetes": ["core"],
  "reconciler/kubernetes/console": [".."],
  "reconciler/metric": ["core", "program"],
  /** Runs the executables of operators: providers and metrics sources. */
  "reconciler/program": ["core"],
  /** CoreWeave's API is that of a Kubernetes cluster. */
  "reconciler/provider": ["./*", "core", "google", "kubernetes", "program", "security"],
  /** A folder a cloud; `call` is what they share. */
  "reconciler/provider/*": ["call"],
  "reconciler/provider/call": [],
  "reconciler/provider/kwok": ["call", "coreweave", "fake"],
  "reconciler/runtime": ["./act", "core", "security", "store"],
  "reconciler/runtime/act": [],
  "reconciler/runtime/workflow": [],
  "reconciler/security": ["core"],
  "reconciler/security/audit": [],
  "reconciler/security/join": ["..", "audit"],
  "reconciler/security/tls": [".."],
  /** Where a control plane is put together: what only it may import is every adapter. */
  "reconciler/server": [
    "./lease",
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
  "reconciler/server/lease": [],
  /** The command-line tools of Slurm are programs. */
  "reconciler/slurm": ["core", "program"],
  "reconciler/store": ["core"],
  /** Sends finished spans to a collector. */
  "reconciler/trace": ["core"],
  schema: ["./config"],
  /** The tables of configuration keys: data only. */
  "schema/config": [],
  /** What the console's API and pages show. */
  "schema/console": [".."],
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
  "simulator/workflow/configure": ["..", "node-set"],
  "simulator/workflow/node-set": [".."],
  "simulator/workflow/run": ["..", "task"],
  "simulator/workflow/task": ["..", "configure", "node-set"],
  systemd: [],
};

/**
 * Arrows that still close a cycle, each with the number of imports that hold it: it may only
 * shrink. The comments say which work ends them.
 */
const KNOTS: Readonly<Record<string, number>> = {
  // Ends with one configuration language (step 13, item 5): numbers, limits and markets lie beside
  // the files that read the tables of keys, which use them.
  "schema/config → schema": 5,
};

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

/** The programs. Each stands above the rooms of its folder, and nothing imports it. */
const PROGRAMS: readonly string[] = ["agent/main.ts", "cli/main.ts"];

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
  const own = roomOf(path);
  if (namesOf(own) === undefined && !PROGRAMS.includes(path)) {
    const what = `${own}/ is not a room of ${room}/: add it to test/tidy/import.ts`;
    return [{ path, line: 1, rule: RULE, what }];
  }
  return importsOf(source).flatMap(({ specifier, line }) => {
    const what = judgeImport(path, room, law, specifier) ?? judgeInner(path, specifier);
    return what === null ? [] : [{ path, line, rule: RULE, what }];
  });
}

const isSource = (path: string): boolean => /\.tsx?$/.test(path);

/** The room of a path: its folder, up to the third level. */
function roomOf(path: string, levels = 3): string {
  return dirname(path).split("/").slice(0, levels).join("/");
}

function judgeInner(path: string, specifier: string): string | null {
  const target = targetOf(path, specifier);
  // Data is as good as text in the file that imports it.
  if (target === null || !isSource(target)) return null;
  const [from, to] = [roomOf(path), roomOf(target)];
  const [top] = from.split("/");
  if (from === to || top !== to.split("/")[0] || `${from} → ${to}` in KNOTS) return null;
  if (PROGRAMS.includes(path)) return null;
  const { row, name } = rowOf(from.split("/"), to.split("/"));
  const names = namesOf(row) ?? [];
  if (names.includes(name) || (name.startsWith("./") && names.includes("./*"))) return null;
  return `${from}/ may not import ${to}/ (${target})`;
}

/** What a row names; `*` is the row of rooms that have none of their own. */
const namesOf = (row: string): readonly string[] | undefined =>
  INNER[row] ?? INNER[join(dirname(row), "*")];

/** The row that rules an arrow between two rooms of one house, and what it has to name. */
function rowOf(from: readonly string[], to: readonly string[]): { row: string; name: string } {
  const parted = from.findIndex((folder, at) => folder !== to[at]);
  if (parted < 0) return { row: from.join("/"), name: `./${to[from.length] ?? ""}` };
  return { row: from.slice(0, parted + 1).join("/"), name: to[parted] ?? ".." };
}

/**
 * Rooms that import each other, over however many others; one violation a cycle. Judged at each of
 * the three levels: rooms may not knot what they lie in. `knots` is not followed, and is held to
 * its numbers.
 */
export function judgeCycles(sources: readonly Source[], knots = KNOTS): Violation[] {
  const arrows = sources
    .filter(({ path }) => !isTest(path) && !path.startsWith("test/") && !PROGRAMS.includes(path))
    .flatMap(arrowsOf);
  const named = ({ from, to }: Arrow): string => `${roomOf(from)} → ${roomOf(to)}`;
  const counted = Object.entries(knots).flatMap(([arrow, most]) => {
    const found = arrows.filter((one) => named(one) === arrow).length;
    const what = `${arrow} has ${found} imports, and KNOTS says ${most}: it may only shrink`;
    return found === most ? [] : [{ path: "test/tidy/import.ts", line: 1, rule: RULE, what }];
  });
  const free = arrows.filter((one) => !(named(one) in knots));
  const cycles = [1, 2, 3].flatMap((levels) => cyclesAt(levels, free));
  const once = new Map(cycles.map((cycle) => [cycle.what, cycle]));
  return [...counted, ...once.values()];
}

type Arrow = { from: string; to: string; line: number };

function arrowsOf(source: Source): Arrow[] {
  return importsOf(source).flatMap(({ specifier, line }) => {
    const to = targetOf(source.path, specifier);
    return to !== null && isSource(to) ? [{ from: source.path, to, line }] : [];
  });
}

function cyclesAt(levels: number, arrows: readonly Arrow[]): Violation[] {
  const known = new Map<string, Map<string, Violation>>();
  for (const { from, to, line } of arrows) {
    const [room, other] = [roomOf(from, levels), roomOf(to, levels)];
    if (room === other) continue;
    const row = known.get(room) ?? new Map<string, Violation>();
    const arrow = { path: from, line, rule: RULE, what: `${room} → ${other}` };
    known.set(room, row.has(other) ? row : row.set(other, arrow));
  }
  const done = new Set<string>();
  return [...known.keys()].sort().flatMap((room) => findCycle(known, room, [], done));
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
  if (other === room || law.rooms.includes(other) || law.files?.test(target)) {
    return PROGRAMS.includes(target) ? `${target} is a program` : null;
  }
  if (other === "") return `${room}/ may not import ${target}`;
  return `${room}/ may not import ${other}/ (${target})`;
}

function judgePackage(path: string, room: string, law: Room, name: string): string | null {
  if (name === "bun:ffi" && !FFI.test(path)) return "bun:ffi belongs to agent/nvml/ alone";
  const allowed = PARTS.find((part) => part.path.test(path))?.packages ?? law.packages;
  if (allowed === undefined || allowed.test(name)) return null;
  return `${dirname(path) === "." ? room : dirname(path)}/ may not import ${name}`;
}
