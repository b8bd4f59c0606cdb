/**
 * Reads the pools of the control plane with their nodes, for the inventory of a Slurm cluster.
 * NodeNames are those that Navarch itself looks for (docs/slurm.md#the-inventory).
 */
import * as v from "valibot";
import type { SlurmHost } from "../deploy/slurm/inventory.ts";
import { poolNames } from "../reconciler/core/slurm/slot-name.ts";
import type { NodeView } from "../schema/api.ts";
import { Config } from "../schema/config.ts";
import type { Client } from "./client.ts";
import { EXIT, failure } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { getNodes } from "./node-pages.ts";
import type { LiveFleet, LivePool } from "./slurm-inventory-pool.ts";

export async function readLiveFleet(client: Client): Promise<Read<LiveFleet>> {
  const given = await client.get<unknown>("/config", []);
  if (!given.ok) return given;
  const read = v.safeParse(Config, given.value);
  if (!read.success) {
    const message = "has another version: its configuration is not understood";
    return failure(EXIT.failed, "version", `${client.address.url} ${message}`);
  }
  const listed = await getNodes(client, {});
  if (!listed.ok) return listed;
  // A terminated one gives its name back.
  const nodes = listed.nodes.filter(({ status }) => status !== "NODE_STATUS_TERMINATED");
  const { pools, slurm } = read.output;
  const targets = new Map(Object.entries(slurm.nodeAliases).map(([name, to]) => [to, name]));
  const fleet = new Map<string, LivePool>();
  for (const pool of pools) {
    const mine = nodes.filter((node) => node.pool === pool.name);
    const hosts = mine.map((node) => hostOf(node, targets));
    const names = poolNames(pool);
    const placed = names.length === 0 ? sorted(hosts) : place(names, hosts);
    fleet.set(pool.name, { hosts: placed, gpus: gpusOf(mine) });
  }
  return { ok: true, value: fleet };
}

function hostOf(node: NodeView, targets: ReadonlyMap<string, string>): SlurmHost {
  const { node_id: id, instance_id: instance, metadata, slurm } = node;
  // What the control plane matched; before Slurm has the node, what it would be matched by.
  const name = slurm?.name ?? targets.get(id) ?? targets.get(instance ?? "") ?? id;
  return {
    name,
    address: metadata.internal_ip ?? metadata.external_ip,
    hostname: null,
    instance: null,
  };
}

/** A pool with names of its own has all of them in Slurm, whichever machines exist now. */
function place(names: readonly string[], hosts: readonly SlurmHost[]): SlurmHost[] {
  return names.map((name) => {
    const host = hosts.find((one) => one.name === name);
    return host ?? { name, address: null, hostname: null, instance: null };
  });
}

/** `n2` before `n10`, in any locale. */
function sorted(hosts: readonly SlurmHost[]): SlurmHost[] {
  const order = new Intl.Collator("en", { numeric: true });
  return [...hosts].sort((a, b) => order.compare(a.name, b.name) || (a.name < b.name ? -1 : 1));
}

/** Of the best equipped node: one that lost a GPU must not lower what Slurm expects. */
function gpusOf(nodes: readonly NodeView[]): LivePool["gpus"] {
  const count = Math.max(0, ...nodes.map(({ gpus }) => gpus.length));
  if (count === 0) return null;
  const names = nodes.flatMap(({ gpus }) => gpus.map(({ name }) => name));
  const [model = "", other] = [...new Set(names.map(modelOf))];
  return { model: other === undefined ? model : names.join(", "), count };
}

/** `h100` of `NVIDIA H100 80GB HBM3`; other names are returned as they are. */
function modelOf(name: string): string {
  const found = /\b(?:GB|[A-Z])\d{1,4}[A-Z]?\b/.exec(name.replace(/^(NVIDIA|Tesla) /, ""));
  return found?.[0].toLowerCase() ?? name;
}
