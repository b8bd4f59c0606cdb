/**
 * Identifiers, branded for the type checker. Facts are matched by identities that are not reused
 * (provider instance id, boot id, GPU UUID), never by a display name alone.
 */
import * as v from "valibot";

/** Nodes, instances and agents: printable, no white space, at most 128 characters. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._:/@-]{0,126}[A-Za-z0-9])?$/;

/** Pool and provider names: 1–63 characters, valid as a Kubernetes label value. */
export const POOL_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

const named = (what: string) =>
  v.pipe(
    v.string(`${what} must be text`),
    v.regex(
      NAME,
      `${what} must be 1 to 128 of A-Z a-z 0-9 . _ : / @ - with a letter or digit at both ends`,
    ),
  );

export const NodeId = v.pipe(named("node id"), v.brand("NodeId"));
export type NodeId = v.InferOutput<typeof NodeId>;

export const InstanceId = v.pipe(named("instance id"), v.brand("InstanceId"));
export type InstanceId = v.InferOutput<typeof InstanceId>;

export const PoolName = v.pipe(
  v.string("pool name must be text"),
  v.regex(POOL_NAME, "must be 1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit at both ends"),
  v.brand("PoolName"),
);
export type PoolName = v.InferOutput<typeof PoolName>;

/** `<node id>.<fence>.<kind>`: deterministic, so that a replay names the same operation. */
export const OperationId = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(200),
  v.brand("OperationId"),
);
export type OperationId = v.InferOutput<typeof OperationId>;

/** One repair of one node, from suspect to serving or gone. Opaque and never reused. */
export const SessionId = v.pipe(v.string(), v.minLength(1), v.maxLength(160), v.brand("SessionId"));
export type SessionId = v.InferOutput<typeof SessionId>;

/** An operator's or agent's command. */
export const CommandId = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9._:-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 . _ : -"),
  v.brand("CommandId"),
);
export type CommandId = v.InferOutput<typeof CommandId>;

/** Kernel boot id (`/proc/sys/kernel/random/boot_id`), or a simulated node's. */
export const BootId = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9-]{1,64}$/, "boot id must be 1 to 64 letters, digits or -"),
  v.brand("BootId"),
);
export type BootId = v.InferOutput<typeof BootId>;

/** A spool's random id: sequence numbers are unique within it, and a wiped disk has a new one. */
export const StreamId = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9-]{1,64}$/, "stream id must be 1 to 64 letters, digits or -"),
  v.brand("StreamId"),
);
export type StreamId = v.InferOutput<typeof StreamId>;
