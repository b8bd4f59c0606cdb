/**
 * What chaos orders and the runner carries out. A fault is an order, not an observation: what the
 * product makes of it is seen only through its own API.
 */
import type { FailureSpec } from "./scenario.ts";

/** A failure on one machine; `id` is unique in the run, and names what is to end. */
export type Failure = FailureSpec & { id: number; message: string };

export const CAUSES = ["chaos", "cascade", "correlated", "outage"] as const;
export type Cause = (typeof CAUSES)[number];

export type Fault =
  | {
      kind: "inject";
      atMs: number;
      node: string;
      failure: Failure;
      cause: Cause;
      /** Steps from the failure that started the cascade; 0 for that failure itself. */
      depth: number;
      /** The outage or correlation by name, else `null`. */
      name: string | null;
    }
  /** Ends this one failure; others of the node stay. */
  | { kind: "recover"; atMs: number; node: string; failure: Failure; cause: Cause }
  /** The failures themselves follow as `inject` and `recover` of the same instant. */
  | { kind: "outage_start" | "outage_end"; atMs: number; name: string; nodes: string[] };
