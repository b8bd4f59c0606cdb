/**
 * The port to a Kubernetes API server: one call, one watch, and closed unions of their results, so
 * that all other code runs on a real server (`client.ts`) and on the one in memory
 * (docs/reference/kubernetes.md).
 */
import type { V1DeleteOptions } from "@kubernetes/client-node";

/** An API object in JSON, where instants are text. */
export type Sent<T> = T extends Date ? string : T extends object ? SentFields<T> : T;
type SentFields<T> = { [K in keyof T]: Sent<T[K]> };

/** Deletes the object of this UID only. */
export const deleteOptions = (uid: string): Sent<V1DeleteOptions> => ({
  apiVersion: "v1",
  kind: "DeleteOptions",
  preconditions: { uid },
});

/** Priorities of writes when the rate is limited: cordon, evict, status. Reads are not limited. */
export const LANES = ["read", "cordon", "evict", "status"] as const;
export type Lane = (typeof LANES)[number];

export type KubeVerb = "get" | "list" | "patch" | "delete" | "create";

export const PATCH = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export type KubeRequest = {
  verb: KubeVerb;
  /** `/api/v1/nodes/gpu-17/status`, percent-encoded. */
  path: string;
  query?: Readonly<Record<string, string>>;
  /** Of a patch; other bodies are JSON. */
  contentType?: (typeof PATCH)[keyof typeof PATCH];
  body?: unknown;
  /** From the first byte to the last; a call that takes longer is `lost`. */
  timeoutMs: number;
  lane: Lane;
  /** Pool of the node, for the count of writes. */
  pool?: string | null;
  /**
   * Called directly before sending by each layer that made the request wait: `false`: its reason
   * has passed, and it is answered as not sent.
   */
  isWanted?: () => boolean;
};

/** One entry of `details.causes` of a Status. */
export type Cause = { reason: string; message: string; field: string };

export type KubeAnswer =
  /** `warnings`: what the server notes about the request, such as unknown fields; mostly absent. */
  | { kind: "ok"; status: number; body: unknown; warnings?: readonly string[] }
  /** The server answered and did nothing, as its Status says. */
  | {
      kind: "refused";
      status: number;
      /** `Conflict`, `TooManyRequests`, `Forbidden` …; empty if the body was no Status. */
      reason: string;
      message: string;
      causes: Cause[];
      /** `Retry-After` or `details.retryAfterSeconds`. */
      retryAfterMs: number | null;
    }
  /** The outcome is unknown: no connection, no answer in time, 5xx without a Status. */
  | { kind: "lost"; message: string };

export type WatchEvent = {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  object: unknown;
};

export type WatchEnd =
  /** The requested time is over, or the server closed the stream in order. */
  | { kind: "ended" }
  /** The resource version is too old (410, as status or in the stream): list again. */
  | { kind: "expired" }
  | { kind: "refused"; status: number; message: string; retryAfterMs: number | null }
  | { kind: "lost"; message: string };

export type TextEnd =
  /** The server ended the text, or the signal or `take` did. */
  | { kind: "ended" }
  /** Before the first byte. */
  | Extract<KubeAnswer, { kind: "refused" }>
  | { kind: "lost"; message: string };

/** Answers that are text, such as the log of a container. */
export type KubeText = {
  /**
   * Streams the bytes of `path` until `take` returns false, waiting for it each time. `answerMs`
   * limits the wait for the head of the answer. Never rejects.
   */
  text(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (chunk: Uint8Array) => Promise<boolean>,
    options: { signal: AbortSignal; answerMs: number },
  ): Promise<TextEnd>;
};

export type KubeApi = {
  /** Never rejects. */
  call(request: KubeRequest): Promise<KubeAnswer>;
  /**
   * Streams changes after `query.resourceVersion` until it ends, the signal aborts (`ended`) or
   * nothing, not even a bookmark, came for `silenceMs` (`lost`). Never rejects.
   */
  watch(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (event: WatchEvent) => void,
    options: { signal: AbortSignal; silenceMs: number },
  ): Promise<WatchEnd>;
  close(): void;
};
