/**
 * Decides which nodes are set up over SSH, and freezes the parameters into the operation (law 2): a
 * configuration that changes during a set-up affects only the next one. Pure.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { Sight } from "../fleet.ts";
import { keyBodiesOf } from "../host-key.ts";
import { poolNames } from "../slurm/slot-name.ts";
import type { Scope } from "./decide.ts";
import type { Hindrance } from "../say/limit.ts";

type SetUp = PoolConfig["bootstrap"];

/** How the machine becomes a node; `null` if it comes with an agent or the pool sets up nothing. */
export function setUpOf(node: Node, { pool, sight }: Scope): SetUp | null {
  if (pool === null || node.instance === null) return null;
  return comesBare(node.instance.provider, sight) && setsUp(pool) ? pool.bootstrap : null;
}

function setsUp({ bootstrap }: PoolConfig): boolean {
  return bootstrap.setupCommands.length > 0 || bootstrap.pushAgent;
}

/**
 * Why no machine of the pool can be set up now, through no fault of any machine. Until it is
 * `known` the plan waits as well: to buy a moment later costs nothing. `total`: no provider of the
 * pool has machines that come with an agent.
 */
type Hindered = { why: Hindrance; known: boolean; total: boolean };

export function hindranceOf(pool: PoolConfig, sight: Sight): Hindered | null {
  const path = keyPathOf(pool, sight);
  if (path === null || sight.keys === null) return null;
  const total = pool.providers.every((ref) => comesBare(ref.name, sight));
  const problem = sight.keys.get(path);
  if (problem === undefined) return { why: { code: "key_unread", path }, known: false, total };
  if (problem === null) return null;
  return { why: { code: "key_unusable", said: problem }, known: true, total };
}

/** The private key that set-ups of the pool log in with; `null` if none is needed or named. */
export function keyPathOf(pool: PoolConfig, sight: Pick<Sight, "providers">): string | null {
  const isBare = pool.providers.some((ref) => comesBare(ref.name, sight));
  return setsUp(pool) && isBare ? pool.bootstrap.sshPrivateKeyPath : null;
}

/** Whether the provider's machines need to be set up; true for an unknown provider. */
export function comesBare(provider: string, sight: Pick<Sight, "providers">): boolean {
  return sight.providers.get(provider)?.bringsAgent !== true;
}

/** The SSH address: the public one first, because the control plane is mostly elsewhere. */
export function addressOf({ instance }: Node): string | null {
  return instance?.externalIp ?? instance?.internalIp ?? null;
}

export function bootstrapPayload(
  node: Node,
  instance: NonNullable<Node["instance"]>,
  address: string,
  setUp: SetUp,
  pool: PoolConfig | null = null,
): Extract<Payload, { kind: "bootstrap" }> {
  const slurmName = nameOf(node, pool);
  return {
    kind: "bootstrap",
    attempt: (node.bootstrap?.attempts ?? 0) + 1,
    instanceId: instance.id,
    address,
    port: instance.host?.port ?? setUp.sshPort,
    user: instance.host?.user ?? setUp.sshUser,
    keyPath: instance.host?.keyPath ?? setUp.sshPrivateKeyPath,
    hostKey: setUp.sshHostKey,
    hostKeys: hostKeysOf(node, instance, setUp.sshHostKey),
    jump: setUp.sshJump,
    become: setUp.become,
    pushAgent: setUp.pushAgent,
    commands: setUp.setupCommands,
    values: {
      Pool: node.pool ?? "",
      NodeID: node.id,
      Provider: instance.provider,
      Region: instance.region ?? "",
      Zone: instance.zone ?? "",
      InstanceType: instance.instanceType,
      InstanceID: instance.id,
      IPAddress: address,
      ...(mayReboot(instance, pool) ? { AllowCommands: "reboot" } : {}),
      ...slurmValues(node, pool),
      ...(slurmName === null ? {} : { SlurmNode: slurmName }),
    },
    sshTimeoutMs: setUp.sshTimeoutMs,
    sshConnectTimeoutMs: setUp.sshConnectTimeoutMs,
    commandTimeoutMs: setUp.commandTimeoutMs,
  };
}

function nameOf({ slot }: Node, pool: PoolConfig | null): string | null {
  return pool === null || slot === null ? null : (poolNames(pool)[slot] ?? null);
}

/**
 * A pool with NodeNames has nodes of slurm.conf. Without the name that is its own, as while the
 * machine before it is there, slurmd refuses to start, and the set-up is tried again.
 */
function slurmValues({ slurm }: Node, pool: PoolConfig | null): Record<string, string> {
  if (pool === null || pool.slurm.nodes === null) return {};
  const isGiven = slurm?.by === "slot" || slurm?.by === "alias";
  return { SlurmDynamic: "false", ...(isGiven ? { SlurmNodeName: slurm.name } : {}) };
}

/** Only the agent of an owned machine reboots it, unless the pool's ladder leaves it out. */
function mayReboot({ host }: NonNullable<Node["instance"]>, pool: PoolConfig | null): boolean {
  if (host === undefined) return false;
  return pool?.repair.implied === true || pool?.repair.ladder.includes("reboot") === true;
}

/**
 * The host keys that the provider's list has; else the key that an earlier attempt accepted. With
 * policy `provider` that key may be one that was trusted at first use before: the keys are asked.
 */
function hostKeysOf(node: Node, instance: NonNullable<Node["instance"]>, policy: string): string[] {
  const reported = keyBodiesOf(instance.hostKeys ?? []);
  if (reported.length > 0) return reported;
  const seen = policy === "provider" ? null : (node.bootstrap?.hostKey ?? null);
  return seen === null ? [] : [seen];
}
