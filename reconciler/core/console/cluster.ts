/**
 * The port to the cluster that the console shows. No call waits for the reconciler, none makes it
 * wait, and none rejects: an answer is the value, or why there is none.
 */
import type { ErrorCode } from "../../../schema/api.ts";
import type {
  ClusterEvent,
  ClusterNode,
  ClusterStats,
  Deployment,
  FluxKind,
  FluxList,
  Pod,
  PodLog,
} from "../../../schema/console/cluster.ts";
import type { HpaLog } from "./hpa-log.ts";

export type Failed = { kind: "failed"; code: ErrorCode; message: string };
export type Asked<T> = { kind: "ok"; value: T } | Failed;

/** `null`: all namespaces. */
export type Within = { namespace: string | null };

/** Identity is the pair: names may contain hyphens, and so may namespaces. */
export type PodRef = { namespace: string; name: string };

export type PodQuery = Within & {
  limit: number;
  /** `next` of the page before; empty: the first. */
  after: string;
};

export type EventQuery = Within & {
  /** `Normal`, `Warning`, or a category. */
  type: string | null;
  kind: string | null;
  name: string | null;
  /** Free text in name, reason, message and type, regardless of case. */
  text: string | null;
};

export type LogQuery = {
  /** `null`: the pod's name is unique in the cluster. */
  namespace: string | null;
  name: string;
  /** `null`: the first container that is not an init container. */
  container: string | null;
  tailLines: number;
  /** Of the container before its last restart. */
  previous: boolean;
};

/** Why a stream of a log ended; `null`: the container ended. */
export type FollowEnd = string | null;

export type Followed = Omit<PodLog, "logs" | "truncated"> & {
  /**
   * Calls `take` for each piece, whole characters, and waits for it; resolves at the end. Never
   * rejects.
   */
  read(take: (text: string) => Promise<void>): Promise<FollowEnd>;
};

export type FluxRef = { type: FluxKind; namespace: string; name: string };
export const FLUX_VERBS = ["reconcile", "suspend", "resume"] as const;
export type FluxVerb = (typeof FLUX_VERBS)[number];

export type KillHow = {
  force: boolean;
  /** Whether the machine of a Node certainly ended; `uid` is `null` without a Node object. */
  isEnded(node: { name: string; uid: string | null }): boolean;
};

export type ConsoleCluster = {
  stats(of: Within): Promise<Asked<ClusterStats>>;
  /** In order of namespace and name. `next` is empty on the last page. */
  pods(query: PodQuery): Promise<Asked<{ pods: Pod[]; next: string }>>;
  pod(ref: PodRef): Promise<Asked<Pod>>;
  nodes(): Promise<Asked<ClusterNode[]>>;
  deployments(of: Within): Promise<Asked<Deployment[]>>;
  /** Newest first. */
  events(query: EventQuery): Promise<Asked<ClusterEvent[]>>;
  /** Names, in order. */
  namespaces(): Promise<Asked<string[]>>;
  logs(query: LogQuery): Promise<Asked<PodLog>>;
  /** Follows the log until `signal` aborts. */
  follow(query: LogQuery, signal: AbortSignal): Promise<Asked<Followed>>;
  /** Evicts the pod; its controller replaces it. The value says what was done. */
  restart(ref: PodRef, how: { force: boolean }): Promise<Asked<string>>;
  /** Deletes the pod without grace. */
  kill(ref: PodRef, how: KillHow): Promise<Asked<string>>;
  flux(): Promise<Asked<FluxList>>;
  /** What HorizontalPodAutoscalers did since this process leads. */
  hpas(): Promise<Asked<HpaLog>>;
  /** The same at once; `null` before the first look, and after one that failed. */
  knownHpas(): HpaLog | null;
  actOnFlux(ref: FluxRef, verb: FluxVerb): Promise<Asked<string>>;
  /** Ends watches and followed logs. */
  close(): void;
};
