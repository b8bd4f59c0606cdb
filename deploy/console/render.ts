/**
 * Renders the console's set from values, as the charts of `deploy/guide/kai` do with helm: defaults
 * of the charts, those of the parent, then the given files. Pure.
 */
import { parse, stringify } from "yaml";
import { VERSION } from "../../schema/version.ts";
import coordinator from "../guide/kai/helm-charts/coordinator/values.yaml" with { type: "text" };
import general from "../guide/kai/helm-charts/infrastructure/values.yaml" with { type: "text" };
import plain from "../guide/kai/helm-charts/kai/values-kai-ml.yaml" with { type: "text" };
import parent from "../guide/kai/helm-charts/kai/values.yaml" with { type: "text" };
import { ACCOUNTS } from "./account.ts";
import { controlPlaneParts } from "./control-plane.ts";
import { DEFAULT_CLASS, INFRASTRUCTURE, PRIORITY_CLASSES } from "./infrastructure.ts";
import type { ChartName, Part } from "./part.ts";
import { type Scope, settle, type Values } from "./ref.ts";
import { SCALING } from "./scaling.ts";
import { checkValues, SCHEMAS } from "./schema.ts";

export type Rendered =
  /** `warnings`: for standard error. */
  { ok: true; objects: object[]; warnings: string[] } | { ok: false; message: string };

export type ValueFile = { name: string; text: string };

/** In the order to apply them: a namespace and its quota before what lies in it. */
export function consoleParts(): readonly Part[] {
  return [...INFRASTRUCTURE, ...ACCOUNTS, ...SCALING, ...controlPlaneParts()];
}

/**
 * `files` of `null`: the set without the control plane, in the namespace kai-ml. `server`: the
 * account of the control plane that serves the console.
 */
export function renderConsole(
  files: readonly ValueFile[] | null,
  server: { namespace: string; account: string } | null = null,
): Rendered {
  const given = [...(files ?? [{ name: "values-kai-ml.yaml", text: plain }])];
  if (server !== null) {
    const values = { infrastructure: { console: server } };
    given.push({ name: "--account", text: JSON.stringify(values) });
  }
  let merged: unknown = parse(parent);
  for (const { name, text } of given) {
    const read = readValues(name, text);
    if (!read.ok) return read;
    merged = merge(merged, read.values);
  }
  const values = merged as Values;
  const objects: object[] = [];
  for (const { chart, when, refuse, object } of consoleParts()) {
    const scope = scopeOf(chart, values);
    if (when !== undefined && when.read(scope) !== true) continue;
    if (refuse?.when.read(scope) === true) return { ok: false, message: refuse.message };
    objects.push(settle(object, scope) as object);
  }
  return { ok: true, objects, warnings: warningsOf(scopeOf("coordinator", values)) };
}

export function formatObjects(objects: readonly object[]): string {
  return objects.map((one) => stringify(one, { lineWidth: 0, indentSeq: false })).join("---\n");
}

type ReadValues = { ok: true; values: unknown } | { ok: false; message: string };

function readValues(name: string, text: string): ReadValues {
  let values: unknown;
  try {
    values = parse(text, { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    return { ok: false, message: `${name}: not YAML: ${String(error).split("\n")[0]}` };
  }
  const problems = checkValues(SCHEMAS.kai, values);
  if (problems.length === 0) return { ok: true, values };
  return { ok: false, message: problems.map((line) => `${name}: ${line}`).join("\n") };
}

const DEFAULTS: Readonly<Record<ChartName, string>> = {
  coordinator,
  infrastructure: general,
};

/** As helm: the parent's values of the chart over the chart's own, and the global ones for all. */
function scopeOf(chart: ChartName, values: Values): Scope {
  const own = merge(parse(DEFAULTS[chart]), values[chart] ?? {}) as Values;
  const global = merge(own["global"], values["global"] ?? {});
  return { values: { ...own, global }, appVersion: VERSION };
}

/** Maps are merged; `null` removes a default, as in helm. */
function merge(under: unknown, over: unknown): unknown {
  if (!isMap(under) || !isMap(over)) return over;
  const merged: Record<string, unknown> = { ...under };
  for (const [key, one] of Object.entries(over)) {
    Object.defineProperty(merged, key, { value: merge(merged[key], one), ...ORDINARY });
  }
  return merged;
}

/** Also for a key such as `__proto__`, which an assignment would not make a key. */
const ORDINARY = { enumerable: true, writable: true, configurable: true };

const isMap = (given: unknown): given is Record<string, unknown> =>
  given !== null && typeof given === "object" && !Array.isArray(given);

/** Of the coordinator's values. */
function warningsOf({ values }: Scope): string[] {
  const [least, replicas] = [Number(values["pdbMinAvailable"]), Number(values["replicaCount"])];
  if (least < replicas) return [];
  return [
    `coordinator.pdbMinAvailable is ${least} and coordinator.replicaCount ${replicas}: ` +
      "the budget coordinator-pdb lets no healthy pod be evicted, so a drain of its node waits " +
      "for ever; lower it or add replicas",
  ];
}

/** What a cluster has: `kubectl get priorityclass -o json`. */
export type FoundClass = { name: string; value: number; globalDefault: boolean };
export type ClassCheck = { refusal: string | null; notes: string[] };

/** Whether the set's classes can be applied there. */
export function checkClasses(objects: readonly object[], found: readonly FoundClass[]): ClassCheck {
  const isOurs = (name: string): boolean => PRIORITY_CLASSES.some((one) => one.name === name);
  const wantsDefault = JSON.stringify(objects).includes('"globalDefault":true');
  const other = found.find(({ name, globalDefault }) => globalDefault && name !== DEFAULT_CLASS);
  const notes = PRIORITY_CLASSES.flatMap(({ name, value }) => {
    const there = found.find((one) => one.name === name);
    if (there === undefined || there.value === value) return [];
    return [
      `PriorityClass ${name} has the value ${there.value} in the cluster ` +
        `and ${value} here. The server changes no value: kubectl delete priorityclass ${name}, ` +
        "then apply; pods that are there keep theirs",
    ];
  });
  if (other === undefined || !wantsDefault || isOurs(other.name)) return { refusal: null, notes };
  const refusal =
    `PriorityClass ${other.name} is the cluster's default already, and there can be one: remove ` +
    "its globalDefault, or set infrastructure.priorityClasses.globalDefault to an empty text";
  return { refusal, notes };
}
