/**
 * `cluster` of a scenario: what runs in the Kubernetes cluster that the machines join, and the
 * disruption budgets over it. How the product looks at that cluster stays in `kubernetes`, which is
 * the configuration's own section. A scenario has a cluster if `kubernetes.enabled` is true, or if
 * it has this section, which is then what `auto` finds.
 */
import type { Config } from "../../schema/config.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { LIMIT } from "../../schema/limit.ts";
import { refuseName } from "./name.ts";
import { sectionsOf, wantWord, wordOf, wordsOf } from "./value.ts";

/** `none`: nobody starts it again. */
export const POD_KINDS = ["Deployment", "StatefulSet", "DaemonSet", "none"] as const;
export type PodKind = (typeof POD_KINDS)[number];

/** Pods that are alike, in namespace `default`. */
export type PodGroup = {
  name: string;
  kind: PodKind;
  /** Of a DaemonSet: 0, for each Node has one. */
  replicas: number;
  /** Only on machines of this pool, whose queue they are while they wait; `null` = on any. */
  pool: string | null;
  /** GPUs of each. */
  gpus: number;
  /** From a pod's machine being chosen to the pod being ready. */
  startMs: number;
  /** What it takes to end once it is asked to; the grace period ends it at the latest. */
  stopMs: number;
  graceMs: number;
  annotations: Record<string, string>;
};

/** Exactly one of the two figures is given: pods, or a share such as `50%`. */
export type Budget = {
  name: string;
  /** The group whose pods it is over. */
  pods: string;
  minAvailable: number | string | null;
  maxUnavailable: number | string | null;
};

export type ClusterSpec = { pods: PodGroup[]; budgets: Budget[] };

/** Of each list; a cluster of more is no scenario that anybody reads. */
const GROUPS_MAX = 1_000;
const REPLICAS_MAX = 100_000;
const START_MS = 5_000;
const STOP_MS = 1_000;
/** What Kubernetes gives a pod that names none. */
const GRACE_MS = 30_000;
/** Of a pod's name, to which a serial or a node's name is added. */
const NAME = /^[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?$/;
const SHARE = /^(100|\d{1,2})%$/;

/** Reads the section; `null` if the scenario has no cluster. */
export function readCluster(
  root: Section,
  config: Config | null,
  pools: readonly string[],
): ClusterSpec | null {
  const section = root.map("cluster");
  const isNamed = root.look("cluster") !== null;
  const enabled = config?.kubernetes.enabled ?? "auto";
  const pods = sectionsOf(section, "pods", GROUPS_MAX).map((one) => readGroup(one, pools));
  refuseTwice(section, "pods", pods);
  const groups = pods.map(({ name }) => name);
  const budgets = sectionsOf(section, "budgets", GROUPS_MAX).map((one) => readBudget(one, groups));
  refuseTwice(section, "budgets", budgets);
  section.finish();
  if (!isNamed) return enabled === true ? { pods: [], budgets: [] } : null;
  if (enabled === false) {
    const hint = "write kubernetes: {enabled: true}, or leave this out";
    root.fail("cluster", "conflict", "kubernetes.enabled is false, so it is not used", hint);
  }
  return { pods, budgets };
}

function refuseTwice(section: Section, key: string, all: readonly { name: string }[]): void {
  const names = all.map(({ name }) => name);
  const twice = names.find((name, at) => name !== "" && names.indexOf(name) !== at);
  if (twice !== undefined) section.fail(key, "duplicate_name", `"${twice}" stands there twice`);
}

function readGroup(section: Section, pools: readonly string[]): PodGroup {
  const name = readName(section, wantWord(section, "name"));
  const kind = section.choice("kind", POD_KINDS) ?? "Deployment";
  const replicas = section.integer("replicas", { min: 1, max: REPLICAS_MAX });
  if (kind === "DaemonSet" && replicas !== null) {
    section.fail("replicas", "misplaced", "a DaemonSet has one pod on each Node", "leave it out");
  }
  const pool = wordOf(section, "pool");
  if (pool !== null && !pools.includes(pool)) refuseName(section, "pool", "pool", pool, pools);
  const group: PodGroup = {
    name,
    kind,
    replicas: kind === "DaemonSet" ? 0 : (replicas ?? 1),
    pool,
    gpus: section.integer("gpus", { min: 0, max: LIMIT.gpusPerNodeMax }) ?? 0,
    startMs: section.duration("start", { min: 0 }) ?? START_MS,
    stopMs: section.duration("stop", { min: 0 }) ?? STOP_MS,
    graceMs: section.duration("grace", { min: 1_000 }) ?? GRACE_MS,
    annotations: wordsOf(section, "annotations"),
  };
  section.finish();
  return group;
}

function readName(section: Section, name: string): string {
  if (name === "" || NAME.test(name)) return name;
  const hint = "write lower case letters, digits and hyphens";
  section.fail("name", "name", "is no name that Kubernetes takes", hint);
  return name;
}

function readBudget(section: Section, groups: readonly string[]): Budget {
  const pods = wantWord(section, "pods", "the name of one of cluster.pods");
  if (pods !== "" && !groups.includes(pods)) refuseName(section, "pods", "pods", pods, groups);
  const name = readName(section, wordOf(section, "name") ?? pods);
  const minAvailable = readFigure(section, "min_available");
  const maxUnavailable = readFigure(section, "max_unavailable");
  const given = ["min_available", "max_unavailable"].filter((key) => section.has(key));
  if (given.length === 0) section.missing("min_available", "or max_unavailable");
  if (given.length === 2) {
    section.fail("max_unavailable", "conflict", "min_available says it already", "remove one");
  }
  section.finish();
  return { name, pods, minAvailable, maxUnavailable };
}

/** `2`, or `50%`. */
function readFigure(section: Section, key: string): number | string | null {
  const word = wordOf(section, key);
  if (word === null) return null;
  if (SHARE.test(word)) return word;
  const figure = Number(word);
  if (/^\d+$/.test(word) && figure <= REPLICAS_MAX) return figure;
  section.fail(key, "type", "expected a count of pods or a share", "write 2 or 50%");
  return null;
}
