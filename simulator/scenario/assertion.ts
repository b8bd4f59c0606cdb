/** `assertions[]`, and the same conditions inside an `assert` event. */
import type { Section } from "../../reconciler/config/section.ts";
import { EVENT_KINDS } from "../../schema/event.ts";
import { nearest } from "../../schema/nearest.ts";
import { type Bare, parseBound } from "./bound.ts";
import { wantCluster } from "./kube-step.ts";
import { type Names, refuseName } from "./name.ts";
import { HEALTHS, STATUSES } from "./action.ts";
import {
  type Assertion,
  ATTRIBUTES,
  type Bound,
  type CountTarget,
  type Health,
  KUBE_NODES,
  MEASURES,
  type PodTarget,
  type Status,
} from "./scenario.ts";
import { lineOf, sectionsOf, wordOf } from "./value.ts";
import { readTexts } from "../../reconciler/config/value.ts";

export const ASSERTIONS_MAX = 10_000;

export const TYPES = [
  "node_status",
  "health_status",
  "node_count",
  "event_order",
  "metric",
  "kube_node",
  "pods",
  ...MEASURES,
] as const;
type Type = (typeof TYPES)[number];

/** Where the parts of a condition stand: an assertion has them beside each other, an event not. */
export type Parts = {
  type: { section: Section; key: string };
  target: { section: Section; key: string };
  expected: { section: Section; key: string };
};

export function readAssertions(root: Section, names: Names): Assertion[] {
  return sectionsOf(root, "assertions", ASSERTIONS_MAX).flatMap((section) => {
    const found = readAssertion(partsOf(section), lineOf(section), names);
    section.finish();
    return found === null ? [] : [found];
  });
}

function partsOf(section: Section): Parts {
  return {
    type: { section, key: "type" },
    target: { section, key: "target" },
    expected: { section, key: "expected" },
  };
}

/** Reads one condition; `null` if it is unsound, which is then reported. */
export function readAssertion(parts: Parts, line: number, names: Names): Assertion | null {
  const type = readType(parts);
  const target = wordOf(parts.target.section, parts.target.key);
  if (type === null) {
    // Still known keys: the fault is in the type, not in what stands beside it.
    parts.expected.section.look(parts.expected.key);
    return null;
  }
  if (ofCluster(type) && !wantCluster(parts.type.section, parts.type.key, type, names)) {
    // What stands there is known all the same.
    parts.expected.section.look(parts.expected.key);
    return null;
  }
  const ofNode = <T>(expected: T | null) =>
    wantNode(parts, target, names) && target !== null && expected !== null
      ? { target, expected, line }
      : null;
  switch (type) {
    case "node_status": {
      const found = ofNode(choose(parts, STATUSES, "status"));
      return found && { type, ...found };
    }
    case "health_status": {
      const found = ofNode(choose(parts, HEALTHS, "health"));
      return found && { type, ...found };
    }
    case "kube_node": {
      const found = ofNode(choose(parts, KUBE_NODES, "state of a Node"));
      return found && { type, ...found };
    }
    case "event_order": {
      const found = ofNode(readOrder(parts));
      return found && { type, ...found };
    }
    case "node_count": {
      const counted = readCountTarget(parts, target ?? "all", names);
      const expected = readExpected(parts, "min", false);
      return counted && expected && { type, target: counted, expected, line };
    }
    case "pods": {
      const counted = readPodTarget(parts, target, names);
      const expected = readExpected(parts, "exact", false);
      return counted && expected && { type, target: counted, expected, line };
    }
    case "metric": {
      if (target === null) missing(parts.target, 'a selector such as navarch_nodes{pool="a"}');
      const expected = readExpected(parts, "exact", false);
      if (target !== null && (target.length > SELECTOR_MAX || !SELECTOR.test(target))) {
        parts.target.section.fail(parts.target.key, "selector", "is not a metric selector");
        return null;
      }
      return target === null || expected === null ? null : { type, target, expected, line };
    }
    default: {
      const isDuration = type === "detection_p99" || type === "replace_p99";
      const expected = readExpected(parts, "max", isDuration);
      return expected && { type, expected, line };
    }
  }
}

/** Conditions that only a scenario with a Kubernetes cluster can have. */
const ofCluster = (type: Type): boolean =>
  /^(kube_node|pods|pod_evictions|pod_deletions|budget_violations)$/.test(type);

/** Longer than any name with all of its labels. */
const SELECTOR_MAX = 1_000;
/** A metric name with label matchers, as Prometheus writes them. */
const MATCHER = String.raw`[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"`;
const SELECTOR = new RegExp(String.raw`^[a-zA-Z_:][\w:]*(?:\{(?:${MATCHER}\s*,?\s*)*\})?$`);

function missing(at: { section: Section; key: string }, hint: string | null = null): void {
  at.section.missing(at.key, hint);
}

function readType({ type }: Parts): Type | null {
  const word = wordOf(type.section, type.key) ?? "node_status";
  const found = TYPES.find((one) => one === word);
  if (found !== undefined) return found;
  const close = nearest(word, TYPES);
  const hint = close === null ? `allowed: ${TYPES.join(", ")}` : `did you mean "${close}"?`;
  type.section.fail(type.key, "choice", `unknown assertion type ${JSON.stringify(word)}`, hint);
  return null;
}

function wantNode({ target }: Parts, id: string | null, names: Names): boolean {
  if (id === null) missing(target, "a node id");
  else if (names.node(id) === null) refuseName(target.section, target.key, "node", id, names.nodes);
  else return true;
  return false;
}

function choose<T extends string>(
  { expected }: Parts,
  allowed: readonly T[],
  what: string,
): T | null {
  const word = wordOf(expected.section, expected.key);
  if (word === null) {
    if (!expected.section.has(expected.key)) missing(expected, `one of ${allowed.join(", ")}`);
    return null;
  }
  const found = allowed.find((one) => one === word.toLowerCase());
  if (found !== undefined) return found;
  const close = nearest(word, allowed);
  const hint = close === null ? `allowed: ${allowed.join(", ")}` : `did you mean "${close}"?`;
  expected.section.fail(
    expected.key,
    "choice",
    `unknown ${what} ${JSON.stringify(word.slice(0, 60))}`,
    hint,
  );
  return null;
}

function readExpected({ expected }: Parts, bare: Bare, isDuration: boolean): Bound | null {
  const word = wordOf(expected.section, expected.key);
  if (word === null) {
    if (!expected.section.has(expected.key)) missing(expected, "a bound such as 5 or >=5");
    return null;
  }
  const answer = parseBound(word, bare, isDuration);
  if (answer.ok) return answer.bound;
  expected.section.fail(expected.key, "bound", answer.message, answer.hint);
  return null;
}

/** Pods of a group, or those on a node. */
function readPodTarget(parts: Parts, name: string | null, names: Names): PodTarget | null {
  const groups = names.cluster?.pods ?? [];
  if (name === null) missing(parts.target, "one of cluster.pods, or a node id");
  else if (groups.includes(name)) return { by: "group", name };
  else if (names.node(name) !== null) return { by: "node", name };
  else {
    const all = [...groups, ...names.nodes];
    refuseName(parts.target.section, parts.target.key, "pods or node", name, all);
  }
  return null;
}

/** A list of event names, or one name. */
function readOrder({ expected }: Parts): string[] | null {
  const entry = expected.section.look(expected.key);
  if (entry === null) {
    missing(expected, "a list of event names");
    return null;
  }
  const word = entry.value.kind === "scalar" ? wordOf(expected.section, expected.key) : null;
  const names =
    word === null
      ? readTexts(expected.section.problems, entry.value)
      : word.split(",").map((one) => one.trim());
  if (names?.length === 0) {
    expected.section.fail(expected.key, "required", "names no event");
    return null;
  }
  const kinds = names?.map((name) => eventKind(expected.section, expected.key, name)) ?? null;
  return kinds?.every((kind) => kind !== null) === true ? kinds : null;
}

/** An event's kind, `node.` being optional; reports an unknown one and returns `null`. */
export function eventKind(section: Section, key: string, name: string): string | null {
  const found = EVENT_KINDS.find((one) => one === name || one === `node.${name}`);
  if (found === undefined) refuseName(section, key, "event", name, EVENT_KINDS);
  return found ?? null;
}

/**
 * `all`, a status, a health, a pool or a zone; `pool:x` disambiguates. Attributes and labels need
 * their prefix: `label:tier=premium`.
 */
function readCountTarget(parts: Parts, text: string, names: Names): CountTarget | null {
  const { section, key } = parts.target;
  const [, label = null, name = ""] = /^label[:=]([^=]+)=(.*)$/.exec(text) ?? [];
  if (label !== null) return { by: "label", key: label.trim(), name: name.trim() };
  const attribute = ATTRIBUTES.find((one) => text.startsWith(`${one}:`));
  if (attribute !== undefined) {
    return { by: attribute, name: text.slice(attribute.length + 1).trim() };
  }
  const kinded = /^(pool|zone|status|health)[:=](.+)$/.exec(text);
  const kind = kinded?.[1] ?? null;
  const word = (kinded?.[2] ?? text).trim();
  if (kind === null && word === "all") return { by: "all" };
  const status: Status | undefined = STATUSES.find((one) => one === word);
  if (status !== undefined && (kind ?? "status") === "status") return { by: "status", status };
  const health: Health | undefined = HEALTHS.find((one) => one === word);
  if (health !== undefined && (kind ?? "health") === "health") return { by: "health", health };
  if (names.pools.includes(word) && (kind ?? "pool") === "pool") return { by: "pool", name: word };
  // A pool may buy in a zone that has no node yet, so `zone:` accepts any name.
  if (kind === "zone" || (kind === null && names.zones.includes(word))) {
    return { by: "zone", name: word };
  }
  const all = ["all", ...STATUSES, ...HEALTHS, ...names.pools, ...names.zones];
  refuseName(section, key, "group of nodes", text, [...new Set(all)]);
  return null;
}
