/**
 * Which nodes are set up over SSH, and exactly how. Pure. Every parameter that the plan can know is
 * frozen into the operation (law 2), so that a configuration that changes under a running set-up
 * changes the next one, not this one.
 */
import type { PoolConfig } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import type { Payload } from "../../schema/operation.ts";
import type { Scope } from "./decide.ts";

type SetUp = PoolConfig["bootstrap"];

/** How the machine becomes a node; `null` if it brings its own agent, or nothing is to do. */
export function setUpOf(node: Node, { pool, sight }: Scope): SetUp | null {
  if (pool === null || node.instance === null) return null;
  if (sight.providers.get(node.instance.provider)?.bringsAgent === true) return null;
  const { bootstrap } = pool;
  return bootstrap.setupCommands.length > 0 || bootstrap.pushAgent ? bootstrap : null;
}

/** Where SSH is tried: the public address first, because the control plane is elsewhere mostly. */
export function addressOf({ instance }: Node): string | null {
  return instance?.externalIp ?? instance?.internalIp ?? null;
}

export function bootstrapPayload(
  node: Node,
  instance: NonNullable<Node["instance"]>,
  address: string,
  setUp: SetUp,
): Extract<Payload, { kind: "bootstrap" }> {
  return {
    kind: "bootstrap",
    attempt: (node.bootstrap?.attempts ?? 0) + 1,
    instanceId: instance.id,
    address,
    port: setUp.sshPort,
    user: setUp.sshUser,
    keyPath: setUp.sshPrivateKeyPath,
    hostKey: setUp.sshHostKey,
    hostKeys: hostKeysOf(node, instance),
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
    },
    sshTimeoutMs: setUp.sshTimeoutMs,
    sshConnectTimeoutMs: setUp.sshConnectTimeoutMs,
    commandTimeoutMs: setUp.commandTimeoutMs,
  };
}

/** The provider's word first; else the key that was accepted when it was first seen. */
function hostKeysOf(node: Node, instance: NonNullable<Node["instance"]>): string[] {
  const told = (instance.hostKeys ?? []).map((line) => line.trim().split(/\s+/)[1] ?? line);
  if (told.length > 0) return told;
  const seen = node.bootstrap?.hostKey ?? null;
  return seen === null ? [] : [seen];
}
