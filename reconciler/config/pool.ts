/** Reads one pool. Missing values come from `defaults`, its old alias `global`, and the tables. */
import { parse } from "valibot";
import {
  type PoolConfig,
  type ProviderConfig,
  type ProviderRef,
  type Rung,
  RUNGS,
} from "../../schema/config.ts";
import { metaOf, fillTable, type PartOf, type ValueOf } from "../../schema/config/field.ts";
import { isOwnedType } from "../../schema/config/provider.ts";
import { BODY, BOOTSTRAP, type DEFAULTS, DRAIN, SCALING } from "../../schema/config/pool.ts";
import { SPEND } from "../../schema/config/safety.ts";
import { PoolName } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import { POOL_SPELLINGS } from "./alias.ts";
import { readAutoscaler } from "./autoscaler.ts";
import { readCommands } from "./bootstrap.ts";
import { warnKeys } from "./cloud-rule.ts";
import type { Directory } from "./provider.ts";
import { POOL_LABELS } from "./label.ts";
import type { PoolTree } from "./layer.ts";
import { hasDollars, readRefs } from "./provider-ref.ts";
import { readSection, type Section } from "./section.ts";
import { checkPowerSave } from "./slurm.ts";
import { readPart } from "./table.ts";

type Defaults = PartOf<typeof DEFAULTS>;
type DrainPart = PartOf<typeof DRAIN>;

/** Sources of a pool's missing values, nearest first, and the known providers. */
export type Surroundings = {
  defaults: readonly Defaults[];
  drain: DrainPart;
  directory: Directory;
  /** The fleet's. */
  spend: ProviderConfig["spend"];
};

/** After an error the result is not used. */
export function readPool(
  problems: Section["problems"],
  tree: PoolTree,
  around: Surroundings,
): PoolConfig {
  const pool = readSection(problems, tree.map, tree.map.path, tree.at);
  const part = readPart(pool, BODY);
  const bootstrap = fillTable(BOOTSTRAP, readPart(pool, BOOTSTRAP), ...around.defaults);
  const { market, zones } = part;
  const place = {
    ...part,
    zones: zones ?? [],
    market: market ?? metaOf(BODY.market).default,
    ceilings: [
      ...(hasDollars(around.spend) ? ["safety.spend"] : []),
      ...(hasDollars(fillTable(SPEND, part.spend)) ? ["spend of the pool"] : []),
    ],
    optional: part.adopt === true,
  };
  const refs = readRefs(pool, tree.name, around.directory, place);
  const buys = pool.has("provider") || pool.has("providers") || part.adopt !== true;
  const owned = isAllOwned(refs, around.directory);
  // A pool that buys nothing may have machines of any type.
  if (buys && !owned && !pool.has("instance_type")) pool.missing("instance_type");
  warnStrategy(pool, refs);
  const scaling = readScaling(pool, tree, around.defaults);
  const repair = readRepair(pool, owned);
  if (owned) checkOwned(pool, repair, scaling);
  checkPowerSave(pool, { ...part, owned }, scaling);
  const setupCommands = readCommands(pool);
  if (pool.has("setup_commands") && bootstrap.sshPrivateKeyPath === null) {
    const at = pool.look("setup_commands")?.at ?? pool.at;
    const path = `${pool.path}.ssh_private_key_path`;
    problems.error(at, path, "required", "required because setup_commands is set");
  }
  const parts = [part, ...around.defaults];
  const { gpus, instanceType, ...filled } = fillTable(BODY, ...parts);
  const named = new Set<string>(refs.map(({ name }) => name));
  warnKeys(
    pool,
    filled.sshKeys,
    around.directory.all().filter(({ name }) => named.has(name)),
  );
  const config: PoolConfig = {
    name: parse(PoolName, tree.name),
    providers: refs,
    ...filled,
    instanceType: instanceType ?? "",
    ...(gpus === null ? {} : { gpus }),
    scaling,
    repair,
    labels: mergeLabels(pool, tree.name, parts),
    drain: mergeDrain([...parts.map((one) => one.drain), around.drain]),
    bootstrap: { ...bootstrap, setupCommands },
  };
  pool.finish(undefined, POOL_SPELLINGS);
  return config;
}

/** Whether every machine of the pool belongs to the operator. */
function isAllOwned(refs: readonly ProviderRef[], directory: Directory): boolean {
  const all = directory.all();
  const types = refs.map(({ name }) => all.find((one) => one.name === name)?.type);
  return types.length > 0 && types.every((type) => type !== undefined && isOwnedType(type));
}

/** Nothing can be bought for such a pool, and only a person changes its size. */
function checkOwned(
  pool: Section,
  repair: PoolConfig["repair"],
  { autoscaler }: PoolConfig["scaling"],
): void {
  const why = "the pool's machines are owned, and nothing is bought for it";
  if (repair.implied !== true && repair.ladder.includes("replace")) {
    const hint = "write ladder: [reboot]; the next step is a person, with an RMA record";
    pool.map("repair").fail("ladder", "owned", `replace is not possible: ${why}`, hint);
  }
  if (autoscaler !== null) {
    const hint = "remove autoscaler; `navarch pool scale` sets the size";
    pool.map("scaling").fail("autoscaler", "owned", `has no use here: ${why}`, hint);
  }
}

/** A `drain.timeout` without a `fatal_timeout` applies to broken hardware too. */
function mergeDrain(parts: readonly DrainPart[]): ValueOf<typeof DRAIN> {
  const meant = parts.map((part) => ({
    ...part,
    fatalTimeoutMs: part.fatalTimeoutMs ?? part.timeoutMs,
  }));
  return fillTable(DRAIN, ...meant);
}

/** The pool's own ladder: known rungs, each once, mildest first. */
function readRepair(pool: Section, owned: boolean): PoolConfig["repair"] {
  const repair = pool.map("repair");
  const given = repair.texts("ladder");
  repair.finish();
  if (!repair.given) return { ladder: ["replace"], implied: true };
  // An owned machine may be held at once.
  if (owned && given?.length === 0) return { ladder: [] };
  if (given === null || given.length === 0) {
    if (given !== null) repair.fail("ladder", "empty", "needs at least one rung");
    else repair.missing("ladder", `write ladder: [${RUNGS.join(", ")}]`);
    return { ladder: ["replace"] };
  }
  const ladder: Rung[] = [];
  for (const name of given) {
    const rung = RUNGS.find((one) => one === name);
    const near = nearest(name, RUNGS);
    const hint = near === null ? `one of ${RUNGS.join(", ")}` : `did you mean "${near}"?`;
    if (rung === undefined) repair.fail("ladder", "choice", `unknown rung "${name}"`, hint);
    else ladder.push(rung);
  }
  if (ladder.includes("gpu-reset")) {
    repair.warn("ladder", "no_effect", "gpu-reset is skipped in this version");
  }
  const order = ladder.map((rung) => RUNGS.indexOf(rung));
  if (order.some((rank, i) => i > 0 && rank <= (order[i - 1] ?? -1))) {
    repair.fail("ladder", "order", "rungs must stand once each, mildest first", RUNGS.join(", "));
  }
  return { ladder: ladder.length === 0 ? ["replace"] : ladder };
}

function warnStrategy(pool: Section, refs: readonly ProviderRef[]): void {
  const entry = pool.look("strategy");
  const [only, second] = refs;
  if (entry === null || only === undefined || second !== undefined) return;
  const { regions, zones, instanceTypes } = only;
  if (regions.length > 1 || zones.length > 1 || instanceTypes.length > 0) return;
  const message = "has no effect with a single place to buy";
  pool.problems.warning(entry.at, entry.path, "strategy", message);
}

function readScaling(
  pool: Section,
  tree: PoolTree,
  defaults: readonly Defaults[],
): PoolConfig["scaling"] {
  const scaling = pool.map("scaling");
  const part = readPart(scaling, SCALING);
  const { minNodes, maxNodes } = part;
  requireBounds(pool, scaling, tree);
  if (minNodes !== null && maxNodes !== null && minNodes > maxNodes) {
    const at = scaling.look("min_nodes")?.value.at ?? scaling.at;
    const message = `min_nodes ${minNodes} is above max_nodes ${maxNodes}`;
    pool.problems.error(at, scaling.path, "range", message);
  }
  const autoscaler = readAutoscaler(scaling.map("autoscaler"), maxNodes);
  scaling.finish();
  const { cooldownMs } = fillTable(SCALING, part, ...defaults);
  return { minNodes: minNodes ?? 0, maxNodes: maxNodes ?? 1, cooldownMs, autoscaler };
}

/** One error for both bounds: a pool without `scaling` lacks one thing. */
function requireBounds(pool: Section, scaling: Section, tree: PoolTree): void {
  if (pool.has("scaling") && !scaling.given) return;
  const missing = ["min_nodes", "max_nodes"].filter((key) => !scaling.has(key));
  const flat = tree.dialect === "map" && !scaling.has("autoscaler");
  const path = flat ? pool.path : scaling.path;
  if (missing.length === 2) {
    const hint = `write ${flat ? "" : "scaling."}min_nodes and ${flat ? "" : "scaling."}max_nodes`;
    pool.problems.error(scaling.at, path, "required", "min_nodes and max_nodes are required", hint);
  } else if (missing[0] !== undefined) {
    pool.problems.error(scaling.at, `${path}.${missing[0]}`, "required", "required");
  }
}

/** The pool's labels win over `defaults`; `POOL_LABELS` cannot be changed. */
function mergeLabels(
  pool: Section,
  name: string,
  parts: readonly Pick<Defaults, "labels">[],
): Record<string, string> {
  const merged = Object.assign({}, ...parts.map((part) => part.labels).reverse());
  for (const label of POOL_LABELS) {
    if (merged[label] !== undefined && merged[label] !== name) {
      const message = `the label ${label} is always the pool's name`;
      pool.fail("labels", "label", message, "remove it");
    }
    merged[label] = name;
  }
  return Object.fromEntries(Object.entries<string>(merged).sort(([a], [b]) => (a < b ? -1 : 1)));
}
