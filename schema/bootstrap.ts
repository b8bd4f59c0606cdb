/**
 * Records of set-ups over SSH, one document per attempt. Secrets are masked before. Kept are 64 KiB
 * of each stream's head and tail, and the last 50 attempts of a node.
 */
import * as v from "valibot";
import { InstanceId, NodeId, PoolName } from "./id.ts";
import { count, instant, integer } from "./number.ts";

const text = v.string();

/** A stream's head and tail, and the bytes dropped between them. */
export const Output = v.object({ head: text, tail: text, droppedBytes: count });
export type Output = v.InferOutput<typeof Output>;

export const STEP_KINDS = [
  /** Reach the machine: TCP, host key, user key. */
  "connect",
  /** Detect architecture, sudo, and a reachable address of the control plane. */
  "probe",
  /** The node's credential into a file that only root reads. */
  "credential",
  /** The agent's binary over the same connection. */
  "push",
  /** One of the pool's `setup_commands`. */
  "command",
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export const Step = v.object({
  kind: v.picklist(STEP_KINDS),
  /** For a person: `setup_commands[2]`, `push navarch-node`. */
  name: text,
  /** As sent, secrets masked; empty for other steps. */
  command: text,
  startedAt: instant,
  /** `null` while it runs. */
  endedAt: v.nullable(instant),
  /** −1 = ended by Navarch or the connection; `null` = running, or no command. */
  exitCode: v.nullable(integer),
  stdout: Output,
  stderr: Output,
  /** Done by an earlier attempt, by the mark on the machine. */
  skipped: v.boolean(),
  /** Why it failed; `null` = it did not. */
  error: v.nullable(text),
});
export type Step = v.InferOutput<typeof Step>;

export const BOOTSTRAP_STATES = [
  "running",
  "done",
  /** A step failed; another attempt may follow. */
  "failed",
  /** Its control plane ended or lost leadership; resumes from the markers on the machine. */
  "interrupted",
  /** Its node is being removed. */
  "cancelled",
] as const;

export const BootstrapAttempt = v.object({
  node: NodeId,
  pool: v.nullable(PoolName),
  instance: InstanceId,
  /** From 1. */
  attempt: count,
  address: text,
  /** The accepted host key, base64 of the wire form. */
  hostKey: v.nullable(text),
  startedAt: instant,
  endedAt: v.nullable(instant),
  state: v.picklist(BOOTSTRAP_STATES),
  /** Why it ended other than `done`. */
  error: v.nullable(text),
  steps: v.array(Step),
});
export type BootstrapAttempt = v.InferOutput<typeof BootstrapAttempt>;

/** What a node keeps of its set-up. */
export const BootstrapFact = v.object({
  /** Attempts that ended. */
  attempts: count,
  doneAt: v.nullable(instant),
  /** Why the last attempt failed. */
  error: v.nullable(text),
  /** The machine was replaced, or retrying cannot help. */
  final: v.boolean(),
  /** The host key accepted first, base64 of its wire format. */
  hostKey: v.nullable(text),
  /** No attempt begins before this: the stored back-off after a failure. */
  notBefore: v.optional(instant),
});
