/** Checks what the keys of Slurm say together: each NodeName belongs to one node. Pure. */
import type { PoolConfig, SlurmConfig } from "../../schema/config.ts";
import type { PartOf } from "../../schema/config/field.ts";
import type { POOL_SLURM } from "../../schema/config/slurm.ts";
import { poolNames } from "../core/slurm/slot-name.ts";
import { expandHostlist } from "../core/slurm/hostlist.ts";
import type { PoolTree } from "./layer.ts";
import { type Problems, quoteShort } from "./problem.ts";
import { readSection, type Section } from "./section.ts";

type PowerSaved = {
  slurm: PartOf<typeof POOL_SLURM> | null | undefined;
  replacement: PoolConfig["replacement"] | null;
  owned: boolean;
};

/** Slurm names the nodes that get machines, so nothing else may size the pool. */
export function checkPowerSave(
  pool: Section,
  { slurm, replacement, owned }: PowerSaved,
  { minNodes, autoscaler }: PoolConfig["scaling"],
): void {
  if (slurm?.powerSave !== true) return;
  const section = pool.map("slurm");
  const fail = (why: string, hint: string): void =>
    void section.fail("power_save", "conflict", why, hint);
  if (!section.has("nodes")) fail("needs the pool's names", "write slurm.nodes, as in c[0-7]");
  if (minNodes > 0) fail(`min_nodes is ${minNodes}`, "write min_nodes: 0 and use SuspendExcNodes");
  if (autoscaler !== null) fail("the pool has an autoscaler", "remove one of the two");
  if (owned) fail("the pool's machines are owned", "power saving ends machines: buy them");
  // Two machines of one NodeName would fight over it.
  if (replacement === "surge") fail("replacement is surge", "write replacement: drain-first");
}

/** The section `slurm` itself. */
export function checkSlurm(section: Section, slurm: SlurmConfig): void {
  const { nodeAliases, transport } = slurm;
  checkPods(section.map("pods"), slurm);
  if (transport === "rest" && !section.has("rest")) {
    const hint = "write rest: unix:/run/slurmrestd.sock, or transport: cli";
    section.fail("transport", "conflict", "rest needs the address of slurmrestd", hint);
  }
  const named = new Map<string, string>();
  const fail = (message: string, hint: string): void =>
    void section.fail("node_aliases", "conflict", message, hint);
  for (const [name, target] of Object.entries(nodeAliases)) {
    const list = expandHostlist(name);
    const isName = list.kind === "ok" && list.names.length === 1 && list.names[0] === name;
    if (!isName) fail(`${quoteShort(name)} is not a NodeName`, "one NodeName for each node");
    if (target === "") fail(`${quoteShort(name)} has no node`, "write the id of its node");
    const other = named.get(target);
    if (target !== "" && other !== undefined) {
      fail(`${quoteShort(target)} has two NodeNames: ${other} and ${name}`, "remove one of them");
    }
    named.set(target, name);
  }
}

function checkPods(section: Section, { enabled, pods }: SlurmConfig): void {
  const { statefulSet, minReplicas, maxReplicas } = pods;
  const fail = (key: string, why: string, hint: string): void =>
    void section.fail(key, "conflict", why, hint);
  if (statefulSet === null) {
    // Keys with a default are printed without it too.
    const given = ["partition", "max_replicas"].find((key) => section.has(key));
    if (given !== undefined) fail(given, "needs stateful_set", "write stateful_set: slurm-compute");
    return;
  }
  if (!enabled) fail("stateful_set", "slurm.enabled is false", "write slurm.enabled: true");
  if (!section.has("partition")) section.missing("partition", "the partition of the pods' nodes");
  if (!section.has("max_replicas")) section.missing("max_replicas", "how many pods there may be");
  if (maxReplicas !== null && maxReplicas < minReplicas) {
    const why = `${maxReplicas} is below min_replicas, which is ${minReplicas}`;
    fail("max_replicas", why, "write as many or more");
  }
}

/** A name of two slots would be nobody's: nothing is done for a node in doubt. */
export function checkNodeNames(
  problems: Problems,
  trees: readonly PoolTree[],
  pools: readonly PoolConfig[],
): void {
  const owners = new Map<string, string>();
  for (const [i, pool] of pools.entries()) {
    const tree = trees[i];
    const names = poolNames(pool);
    const twice = names.find((name, at) => owners.has(name) || names.indexOf(name) !== at);
    for (const name of names) owners.set(name, owners.get(name) ?? pool.name);
    if (twice === undefined || tree === undefined) continue;
    const owner = owners.get(twice);
    const where = owner === pool.name ? "stands twice" : `is a node of pool ${owner} too`;
    const section = readSection(problems, tree.map, tree.map.path, tree.at).map("slurm");
    section.fail("nodes", "duplicate_name", `${twice} ${where}`, "give each name to one slot");
  }
}
