/** What another configuration changes, does and leaves for a restart, in plain words. Pure. */
import type { ConfigDiffView } from "../../../schema/api-config.ts";
import type { Config, PoolConfig, ProviderConfig } from "../../../schema/config.ts";
import { diffConfigs } from "../../config/diff.ts";
import type { Node } from "../../../schema/node.ts";
import { hashConfig } from "../../config/hash.ts";
import { keepFixed } from "../../config/restart.ts";
import { fills } from "../../core/scaling/candidate.ts";
import { countsIn, desiredOf, type Fleet, isUnbought } from "../../core/fleet.ts";
import { refuseConfig } from "../../core/fold/config.ts";
import { formatHolding, isHeld, orphanedPools } from "../../core/removal.ts";

type Effect = ConfigDiffView["effects"][number];

/** `fleet` `null`: only the texts are compared. */
export function viewConfigDiff(from: {
  running: Config;
  next: Config;
  fleet: Fleet | null;
}): ConfigDiffView {
  const { running, fleet } = from;
  const { config: next, kept } = keepFixed(running, from.next);
  const refusals = (removesPools: boolean): string[] =>
    fleet === null ? [] : refuseConfig(fleet, { running, next, removesPools });
  return {
    hash: hashConfig(running),
    next: hashConfig(next),
    policy: null,
    changes: diffConfigs(running, from.next),
    effects: [...poolEffects(running, next, fleet), ...otherEffects(running, next)],
    restart: kept,
    refused: refusals(false),
    refused_always: refusals(true),
  };
}

function poolEffects(running: Config, next: Config, fleet: Fleet | null): Effect[] {
  const before = new Map(running.pools.map((pool) => [pool.name, pool]));
  const after = new Set(next.pools.map(({ name }) => name));
  const removed = running.pools.filter(({ name }) => !after.has(name));
  return [
    ...next.pools.flatMap((pool) => {
      const was = before.get(pool.name) ?? null;
      const messages = poolMessages(was, pool, fleet);
      return messages.map((message) => ({ object: `pool ${pool.name}`, message }));
    }),
    ...removed.map(({ name }) => ({
      object: `pool ${name}`,
      message: removalMessage(name, next, fleet),
    })),
  ];
}

function removalMessage(name: string, next: Config, fleet: Fleet | null): string {
  if (fleet === null) return "removed: its nodes are drained and terminated";
  const holding = orphanedPools(fleet, next).find(({ pool }) => pool === name);
  const adopted = fleet.nodes.values().filter((node) => {
    return node.pool === name && isUnbought(node) && node.phase.kind !== "gone";
  });
  const count = adopted.toArray().length;
  if (holding === undefined && count > 0) {
    const machines = count === 1 ? "1 machine" : `${count} machines`;
    return `removed: ${machines} that joined it stay, watched and not repaired`;
  }
  if (holding === undefined) return "removed: it has no nodes";
  const what = formatHolding(holding).replace(/^pool [^:]+: /, "");
  return `removed: ${what}, are drained and terminated; takes --allow-pool-removal`;
}

function poolMessages(was: PoolConfig | null, pool: PoolConfig, fleet: Fleet | null): string[] {
  const size = sizeMessage(was, pool, fleet);
  if (was === null) {
    const bought = size?.replace(/^wanted size [^:]*: /, "") ?? "nothing is bought now";
    return [`added: ${bought}`];
  }
  const out = size === null ? [] : [size];
  if (!isSame(newNodePart(was), newNodePart(pool))) {
    out.push("its new nodes are bought and set up differently; nodes that exist stay");
  }
  const scalers = [was.scaling.autoscaler, pool.scaling.autoscaler];
  if (!isSame(scalers[0], scalers[1])) {
    const [from, to] = scalers.map((one) => one?.type ?? "none");
    out.push(
      from === to ? `autoscaler ${to} decides by other values` : `autoscaler: ${from} → ${to}`,
    );
  }
  return out;
}

const newNodePart = (pool: PoolConfig): unknown => [
  pool.instanceType,
  pool.providers,
  pool.bootstrap,
  pool.sshKeys,
];

/** Nodes that are bought or ended because of the pool's size; `null` = none. */
function sizeMessage(was: PoolConfig | null, pool: PoolConfig, fleet: Fleet | null): string | null {
  const { minNodes, maxNodes } = pool.scaling;
  if (fleet === null) {
    const bounds = `${minNodes} to ${maxNodes} nodes`;
    return was === null || !isSame(sizesOf(was), sizesOf(pool)) ? `its size is ${bounds}` : null;
  }
  const state = fleet.pools.get(pool.name);
  const wanted = desiredOf(pool, state);
  const before = was === null ? 0 : desiredOf(was, state);
  if (wanted === before) return null;
  const own = [...fleet.nodes.values()].filter((node) => {
    return node.pool === pool.name && countsIn(node, pool) && fills(node);
  });
  const count = own.length;
  const size = `wanted size ${before} → ${wanted}`;
  if (count > wanted) {
    return `${size}: ${sayEnds(own.filter(hasMachine).length, count, wanted)}`;
  }
  if (count < wanted && pool.providers.length > 0) {
    return `${size}: ${sayNodes(wanted - count)} bought`;
  }
  return size;
}

/** Whether a machine exists, or a call for one may have been sent. */
const hasMachine = (node: Node): boolean => isHeld(node) || isUnbought(node);

/** Nodes without a machine are given up first, because nothing is lost with them. */
function sayEnds(machines: number, count: number, wanted: number): string {
  const ends = Math.max(0, machines - wanted);
  const dropped = count - wanted - ends;
  const some = `${ends} of ${machines} nodes are drained and terminated`;
  if (dropped === 0) return some;
  const [nodes, are] = dropped === 1 ? ["1 node", "is"] : [`${dropped} nodes`, "are"];
  const rest = `${nodes} that ${are} not bought yet ${are} given up`;
  return ends === 0 ? rest : `${some}, ${rest}`;
}

const sizesOf = ({ scaling: { minNodes, maxNodes } }: PoolConfig) => [minNodes, maxNodes];
const sayNodes = (count: number): string => (count === 1 ? "1 node is" : `${count} nodes are`);

function otherEffects(running: Config, next: Config): Effect[] {
  const out: Effect[] = [];
  const before = new Map(running.providers.map((one) => [one.name, one]));
  const after = new Set(next.providers.map(({ name }) => name));
  for (const provider of next.providers) {
    const message = providerMessage(before.get(provider.name) ?? null, provider);
    if (message !== null) out.push({ object: `provider ${provider.name}`, message });
  }
  for (const { name } of running.providers) {
    if (!after.has(name)) out.push({ object: `provider ${name}`, message: "closed" });
  }
  if (!isSame(running.server.notifier, next.server.notifier)) {
    out.push({ object: "notifications", message: "the next ones are sent by the new settings" });
  }
  if (running.server.heartbeatIntervalMs !== next.server.heartbeatIntervalMs) {
    out.push({ object: "agents", message: "learn the interval with their next report" });
  }
  return out;
}

function providerMessage(was: ProviderConfig | null, next: ProviderConfig): string | null {
  if (was === null) return "opened";
  if (was.type === next.type && isSame(was.settings, next.settings)) return null;
  return "opened again: calls in flight end first, and nothing is bought before it is listed";
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
