/**
 * `cluster` of a scenario: what runs in the Kubernetes cluster that the machines join, and the
 * disruption budgets over it. How the product looks at that cluster stays in `kubernetes`, which is
 * the configuration's own section. A scenario has a cluster if `kubernetes.enabled` is true, or if
 * it has this section, which is then what `auto` finds.
 */
import type { Config } from "../../schema/config.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { readMapping, readPart } from "../../reconciler/config/table.ts";
import { fillTable, type ValueOf } from "../../schema/config/field.ts";
import { refuseName } from "./name.ts";
import { BUDGET, POD_GROUP, REPLICAS_MAX } from "./table.ts";
import { sectionsOf, wordOf } from "./value.ts";

/** Pods that are alike, in namespace `default`; a DaemonSet has 0 replicas: each Node has one. */
export type PodGroup = ValueOf<typeof POD_GROUP> & { replicas: number };

/** Exactly one of the two figures is given: pods, or a share such as `50%`. */
export type Budget = {
  name: string;
  /** The group whose pods it is over. */
  pods: string;
  minAvailable: number | string | null;
  maxUnavailable: number | string | null;
};

export type ClusterSpec = { pods: PodGroup[]; budgets: Budget[] };

/** Limit of each list; a larger cluster is no readable scenario. */
const GROUPS_MAX = 1_000;
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
  const part = readMapping(section, POD_GROUP);
  const { pool, replicas, ...group } = fillTable(POD_GROUP, part);
  const isOnEach = group.kind === "DaemonSet";
  if (isOnEach && replicas !== null) {
    section.fail("replicas", "misplaced", "a DaemonSet has one pod on each Node", "leave it out");
  }
  if (pool !== null && !pools.includes(pool)) refuseName(section, "pool", "pool", pool, pools);
  const name = readName(section, part.name ?? "");
  return { ...group, name, pool, replicas: isOnEach ? 0 : (replicas ?? 1) };
}

function readName(section: Section, name: string): string {
  if (name === "" || NAME.test(name)) return name;
  const hint = "write lower case letters, digits and hyphens";
  section.fail("name", "name", "is no name that Kubernetes takes", hint);
  return name;
}

function readBudget(section: Section, groups: readonly string[]): Budget {
  const part = readPart(section, BUDGET);
  const pods = part.pods ?? "";
  if (pods !== "" && !groups.includes(pods)) refuseName(section, "pods", "pods", pods, groups);
  const name = readName(section, part.name ?? pods);
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
