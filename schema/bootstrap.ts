/**
 * What is known of turning one bare machine into a node: one document an attempt, its steps in
 * order. Secrets are masked before a text comes here, and no stream is kept whole (64 KiB of head
 * and tail a stream, the last 50 attempts of a node).
 */
import * as v from "valibot";
import { InstanceId, NodeId, PoolName } from "./id.ts";
import { count, instant, integer } from "./number.ts";

const text = v.string();

/** What a step said on one stream: its beginning and its end, and how much lay between them. */
export const Output = v.object({ head: text, tail: text, droppedBytes: count });
export type Output = v.InferOutput<typeof Output>;

export const STEP_KINDS = [
  /** Reach the machine: TCP, host key, user key. */
  "connect",
  /** Look at it: architecture, whether sudo works, which address of ours it can reach. */
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
  /** As it was sent, secrets masked; empty for steps that are no command. */
  command: text,
  startedAt: instant,
  /** `null` while it runs. */
  endedAt: v.nullable(instant),
  /** −1 = ended by us or by the connection; `null` = still running, or no command. */
  exitCode: v.nullable(integer),
  stdout: Output,
  stderr: Output,
  /** Done by an attempt before this one, whose mark the machine still has. */
  skipped: v.boolean(),
  /** Why it failed, in a sentence; `null` = it did not. */
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
  /** The machine's host key that was accepted, base64 of the wire form; `null` before that. */
  hostKey: v.nullable(text),
  startedAt: instant,
  endedAt: v.nullable(instant),
  state: v.picklist(BOOTSTRAP_STATES),
  /** Why it ended other than `done`. */
  error: v.nullable(text),
  steps: v.array(Step),
});
export type BootstrapAttempt = v.InferOutput<typeof BootstrapAttempt>;
