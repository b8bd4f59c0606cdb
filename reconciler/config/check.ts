/** Checks between the keys of one section, by its table. */
import { AUTOSCALER } from "../../schema/config/autoscaler.ts";
import { fillTable, metaOf, type PartOf, type Table } from "../../schema/config/field.ts";
import { NODE_RESOURCES } from "../../schema/config/kubernetes.ts";
import { DRAIN } from "../../schema/config/pool.ts";
import { BREAKER } from "../../schema/config/safety.ts";
import { RETRY, TLS } from "../../schema/config/server.ts";
import { formatDuration } from "../../schema/duration.ts";
import { nameLabels, NAMES_MAX } from "../core/kubernetes/node-resource.ts";
import { isLabelKey } from "./label.ts";
import type { Section } from "./section.ts";

type Check<T extends Table> = (section: Section, part: PartOf<T>) => void;
const rule = <T extends Table>(table: T, check: Check<T>) =>
  [table, check] as [Table, Check<Table>];

const CHECKS: ReadonlyMap<Table, Check<Table>> = new Map([
  rule(DRAIN, warnCut),
  rule(TLS, requireFiles),
  rule(BREAKER, (breaker, { windowMs, longWindowMs }) => {
    const { default: window } = metaOf(BREAKER.window);
    const { default: long } = metaOf(BREAKER.long_window);
    if ((longWindowMs ?? long) < (windowMs ?? window)) {
      breaker.fail("long_window", "range", "must not be shorter than window");
    }
  }),
  rule(RETRY, (retry, { initialMs, maxMs }) => {
    if (maxMs !== null && maxMs < (initialMs ?? metaOf(RETRY.initial).default)) {
      retry.fail("max", "range", "must not be below initial");
    }
  }),
  rule(AUTOSCALER.reactive, checkThresholds),
  rule(NODE_RESOURCES, checkNames),
]);

export function checkSection(section: Section, table: Table, part: PartOf<Table>): void {
  CHECKS.get(table)?.(section, part);
}

/** At the drain's deadline the machine ends, whatever grace a pod still has. */
function warnCut(drain: Section, part: PartOf<typeof DRAIN>): void {
  const { gracePeriodMs, timeoutMs, fatalTimeoutMs } = part;
  for (const [key, ms] of Object.entries({ timeout: timeoutMs, fatal_timeout: fatalTimeoutMs })) {
    if (ms === null || ms === 0 || (gracePeriodMs ?? 0) <= ms) continue;
    const limit = `${key} (${formatDuration(ms)})`;
    const message = `is longer than ${limit}, which cuts each pod's grace short`;
    drain.warn("grace_period", "range", message);
  }
}

function requireFiles(tls: Section, { ownCa }: PartOf<typeof TLS>): void {
  const hint = "or set own_ca: true, which makes an authority of its own";
  for (const key of ["cert_file", "key_file"]) {
    if (tls.given && ownCa !== true && !tls.has(key)) tls.missing(key, hint);
    if (ownCa === true && tls.has(key)) {
      tls.fail(key, "conflict", "own_ca makes the certificate", `remove own_ca or ${key}`);
    }
  }
}

function checkThresholds(section: Section, part: PartOf<typeof AUTOSCALER.reactive>): void {
  const { scaleUpThreshold: up, scaleDownThreshold: down } = part;
  warnFraction(section, "scale_up_threshold", up);
  warnFraction(section, "scale_down_threshold", down);
  // A refused value must not be replaced by the default and compared.
  const known =
    (up !== null || !section.has("scale_up_threshold")) &&
    (down !== null || !section.has("scale_down_threshold"));
  const { scaleUpThreshold: high, scaleDownThreshold: low } = fillTable(AUTOSCALER.reactive, part);
  if (!known || low < high) return;
  const at = section.look(down === null ? "scale_up_threshold" : "scale_down_threshold");
  const message = `scale_down_threshold ${low} must be below scale_up_threshold ${high}`;
  section.problems.error(at?.value.at ?? section.at, section.path, "range", message);
}

/** 0.8 is almost certainly meant as 80 %; as written the pool grows at 0.8 % load. */
function warnFraction(section: Section, key: string, value: number | null): void {
  if (value === null || value <= 0 || value > 1) return;
  const message = `${value} means ${value} %: thresholds are percentages from 0 to 100`;
  const percent = Math.round(value * 100_000) / 1_000;
  const hint = `write ${percent} if ${percent} percent is meant`;
  section.warn(key, "fraction", message, hint);
}

function checkNames(section: Section, part: PartOf<typeof NODE_RESOURCES>): void {
  const { resources, labels } = part;
  for (const [key, names] of Object.entries({ resources, labels })) {
    const bad = names?.find((name) => !isLabelKey(name));
    if (bad !== undefined) {
      section.fail(key, "name", `${JSON.stringify(bad)} is no name of Kubernetes`);
    }
    if ((names?.length ?? 0) > NAMES_MAX) {
      section.fail(key, "limit", `has more than ${NAMES_MAX} entries`);
    }
  }
  const named = nameLabels(labels ?? []);
  if (!named.ok) section.fail("labels", "conflict", named.message);
}
