/** Reads one pool of the inventory of a Slurm cluster: the shape of its nodes, and their names. */
import type { SlurmGpus, SlurmHost, SlurmPool } from "../deploy/slurm/inventory.ts";
import { type Place, quoteShort } from "../reconciler/config/problem.ts";
import { readSection, type Section } from "../reconciler/config/section.ts";
import type { Tree } from "../reconciler/config/tree.ts";
import { compressHostlist, expandHostlist } from "../reconciler/core/slurm/hostlist.ts";
import { splitOutsideBrackets } from "../reconciler/core/slurm/hostlist.ts";
import { LIMIT } from "../schema/limit.ts";
import { nearest } from "../schema/nearest.ts";

/** A pool with the places of its nodes in the file, for problems between pools. */
export type NamedPool = {
  pool: SlurmPool;
  section: Section;
  places: ReadonlyMap<string, { at: Place; path: string }>;
};

/** The nodes of a pool as the control plane knows them; `gpus` of the best equipped one. */
export type LivePool = {
  hosts: readonly SlurmHost[];
  gpus: { model: string; count: number } | null;
};
export type LiveFleet = ReadonlyMap<string, LivePool>;

const NAME = /^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/;
const NODE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const ADDRESS = /^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$/;
const MODEL = /^[a-z][a-z0-9_-]{0,31}$/;
const FEATURE = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62})$/;
const DEVICES = /^\/[^\s#"'=\\]+$/;
const INSTANCE = /^[^\s\p{C}]{1,253}$/u;
/** Words that Slurm reads as something else. */
const RESERVED = /^(all|default|localhost)$/i;

const CPUS_MAX = 4_096;
const MEMORY_MB_MAX = 64 * 1024 * 1024;

export function readPool(section: Section, live: LiveFleet | null): NamedPool[] {
  if (!section.given) return [];
  const name = form(section, "name", NAME, "1 to 63 letters, digits, _ and -");
  if (!section.has("name")) section.missing("name", "as training");
  const cpus = section.integer("cpus", { min: 1, max: CPUS_MAX });
  const memoryMb = section.integer("memory_mb", { min: 1, max: MEMORY_MB_MAX });
  for (const key of ["cpus", "memory_mb"]) {
    if (!section.has(key)) section.missing(key, "`slurmd -C` on a machine prints CPUs, RealMemory");
  }
  const places = new Map<string, { at: Place; path: string }>();
  const found = live === null || name === null ? null : findLive(section, name, live);
  const nodes = live === null ? readNodes(section, places) : placeLive(section, found, places);
  const pool: SlurmPool = {
    name: name ?? "",
    partition: form(section, "partition", NAME, "letters, digits, _ and -") ?? name ?? "",
    state: section.choice("state", ["static", "cloud"]) ?? "static",
    cpus: cpus ?? 1,
    topology: readTopology(section, cpus),
    memoryMb: memoryMb ?? 1,
    gpus: section.has("gpus") || found === null ? readGpus(section) : liveGpus(section, found),
    features: readFeatures(section),
    nodes,
    hostlist: compressHostlist(nodes.map((node) => node.name)),
  };
  for (const key of ["name", "partition"] as const) {
    if (RESERVED.test(pool[key]) && section.has(key)) reserved(section, key, pool[key]);
  }
  section.finish();
  return [{ pool, section, places }];
}

function reserved(section: Section, key: string, name: string): null {
  return section.fail(key, "form", `${quoteShort(name)} has another meaning in Slurm`);
}

function form(section: Section, key: string, allowed: RegExp, expected: string): string | null {
  const text = section.text(key);
  if (text === null || allowed.test(text)) return text;
  return section.fail(key, "form", `${quoteShort(text)} is not ${expected}`);
}

const PARTS = ["sockets", "cores_per_socket", "threads_per_core"] as const;

function readTopology(section: Section, cpus: number | null): SlurmPool["topology"] {
  const given = PARTS.map((key) => section.integer(key, { min: 1, max: CPUS_MAX }));
  if (!PARTS.some((key) => section.has(key))) return null;
  const [sockets = null, cores = null, threads = null] = given;
  for (const key of PARTS) if (!section.has(key)) section.missing(key, `with ${PARTS.join(", ")}`);
  if (cpus === null || sockets === null || cores === null || threads === null) return null;
  const product = sockets * cores * threads;
  if (product === cpus) return { sockets, cores, threads };
  const sum = `${sockets} × ${cores} × ${threads} = ${product}`;
  return section.fail("cpus", "range", `is ${cpus}, and sockets × cores × threads ${sum}`);
}

function readGpus(section: Section): SlurmGpus | null {
  const gpus = section.map("gpus");
  if (!gpus.given) return null;
  const model = form(gpus, "model", MODEL, "lower-case letters, digits, _ and -, as h100");
  const count = gpus.integer("count", { min: 1, max: LIMIT.gpusPerNodeMax });
  for (const key of ["model", "count"]) if (!gpus.has(key)) gpus.missing(key);
  const given = form(gpus, "files", DEVICES, "a path as /dev/nvidia[0-7]");
  const files = given ?? usualFiles(count ?? 1);
  const problem = count === null ? null : whyNotFiles(files, count);
  if (problem !== null) gpus.fail("files", "range", problem);
  gpus.finish();
  if (model === null || count === null) return null;
  return { model, count, files };
}

const usualFiles = (count: number): string =>
  count === 1 ? "/dev/nvidia0" : `/dev/nvidia[0-${count - 1}]`;

/** Slurm takes a count that its files do not reach for a broken node. */
export function whyNotFiles(files: string, count: number): string | null {
  const paths = expandPaths(files);
  if (typeof paths === "string") return paths;
  if (new Set(paths).size === count && paths.length === count) return null;
  return `names ${paths.length} devices, and a node has ${count} GPUs`;
}

/** Hostlists have no folders, so each path is expanded after its last slash. */
function expandPaths(files: string): string[] | string {
  const paths: string[] = [];
  for (const part of splitOutsideBrackets(files, (one) => one === ",")) {
    const cut = part.lastIndexOf("/") + 1;
    const names = expandHostlist(part.slice(cut), LIMIT.gpusPerNodeMax);
    if (names.kind === "invalid") return names.message;
    if (cut === 0 || names.names.length === 0) return `${quoteShort(part)} is no path of a device`;
    paths.push(...names.names.map((name) => `${part.slice(0, cut)}${name}`));
  }
  return paths;
}

function readFeatures(section: Section): string[] {
  const features = section.texts("features") ?? [];
  const bad = features.find((one) => !FEATURE.test(one));
  if (bad !== undefined) {
    section.fail("features", "form", `${quoteShort(bad)} is not letters, digits, _ . and -`);
  }
  return features;
}

function readNodes(
  section: Section,
  places: Map<string, { at: Place; path: string }>,
): SlurmHost[] {
  // A pool without nodes of its own is filled by machines that join.
  if (!section.has("nodes")) return [];
  const { value } = section.look("nodes") ?? {};
  const items = value?.kind === "scalar" ? [value] : (section.items("nodes") ?? []);
  return items.slice(0, LIMIT.nodesMax).flatMap((item) => {
    const hosts = item.kind === "scalar" ? readNames(section, item) : readHost(section, item);
    return hosts.filter(({ name }) => {
      const first = places.get(name);
      if (first === undefined) places.set(name, { at: item.at, path: item.path });
      else repeated(section, item, name, first.at.line);
      return first === undefined;
    });
  });
}

function repeated({ problems }: Section, { at, path }: Tree, name: string, line: number): null {
  const message = `node ${quoteShort(name)} is listed twice (first in line ${line})`;
  return problems.error(at, path, "repeat", message);
}

function findLive(section: Section, name: string, live: LiveFleet): LivePool | null {
  const found = live.get(name);
  if (found !== undefined) return found;
  const close = nearest(name, [...live.keys()]);
  const hint = close === null ? null : `did you mean "${close}"?`;
  return section.fail("name", "pool", `the control plane has no pool ${quoteShort(name)}`, hint);
}

function placeLive(
  section: Section,
  found: LivePool | null,
  places: Map<string, { at: Place; path: string }>,
): SlurmHost[] {
  if (section.has("nodes")) {
    section.fail("nodes", "misplaced", "come from the control plane: leave them out");
  }
  const hosts = (found?.hosts ?? []).filter(({ name }) => {
    if (NODE.test(name) && !RESERVED.test(name)) return true;
    const hint = "name it in slurm.node_aliases of the control plane's configuration";
    return section.fail("name", "node", `node ${quoteShort(name)} has no NodeName`, hint);
  });
  for (const { name } of hosts) places.set(name, section);
  return hosts;
}

function liveGpus(section: Section, { gpus }: LivePool): SlurmGpus | null {
  if (gpus === null) return null;
  const { model, count } = gpus;
  if (!MODEL.test(model)) {
    return section.missing("gpus", `the model in ${quoteShort(model)} is not known`);
  }
  return { model, count, files: usualFiles(count) };
}

const bare = (name: string): SlurmHost => ({ name, address: null, hostname: null, instance: null });

function readNames({ problems }: Section, item: Tree): SlurmHost[] {
  const text = item.kind === "scalar" ? item.source : "";
  const list = expandHostlist(text);
  const names = list.kind === "ok" ? list.names : [];
  if (list.kind === "invalid" || names.length === 0) {
    const message = list.kind === "invalid" ? list.message : "names no node";
    problems.error(item.at, item.path, "hostlist", message);
    return [];
  }
  const bad = names.find((name) => !NODE.test(name) || RESERVED.test(name));
  if (bad === undefined) return names.map(bare);
  problems.error(item.at, item.path, "node", `${quoteShort(bad)} is not a NodeName`);
  return [];
}

function readHost({ problems }: Section, item: Tree): SlurmHost[] {
  const section = readSection(problems, item, item.path, item.at, () => null);
  if (!section.given) return [];
  const name = form(section, "name", NODE, "a NodeName of letters, digits, . _ and -");
  if (!section.has("name")) section.missing("name", "its NodeName");
  if (name !== null && RESERVED.test(name)) reserved(section, "name", name);
  const host: SlurmHost = {
    name: name ?? "",
    address: form(section, "address", ADDRESS, "an IPv4 address or DNS name"),
    hostname: form(section, "hostname", ADDRESS, "a host name"),
    instance: form(section, "instance", INSTANCE, "an id without spaces"),
  };
  section.finish();
  return name === null ? [] : [host];
}
