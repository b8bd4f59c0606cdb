/** What every route is given: the ports of the control plane, and what is known of the request. */
import type { Hono } from "hono";
import type { GenericSchema } from "valibot";
import type { ErrorCode } from "../../../schema/api.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Authority, Principal } from "../../security/auth.ts";
import type { AgentPools } from "../../core/agentpool/service.ts";
import type { ConsoleCluster } from "../../core/console/cluster.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { DemandQueue } from "../../core/console/demand.ts";
import type { Reloader } from "../../core/reload.ts";
import type { Ingest } from "../../runtime/ingest.ts";
import type { Admission } from "../../security/join/admission.ts";
import type { PodTokens } from "../../security/join/pod-token.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Simulation } from "../../runtime/simulation.ts";
import type { WorkflowRuns } from "../../runtime/workflow/runs.ts";
import type { Metrics } from "../metrics.ts";
import type { Store } from "../../core/store.ts";
import type { Span } from "../../core/trace.ts";
import type { InstallPorts } from "./release-folder.ts";
import type { Quota } from "./quota.ts";

export type RoutePorts = {
  reconciler: Reconciler;
  ingest: Ingest;
  authority: Authority;
  store: Store;
  metrics: Metrics;
  /** Rate limits of agents. */
  quota: Quota;
  clock: Clock;
  log: Log;
  /** A fresh id, for commands, tokens and requests. */
  newId(): string;
  /** A fresh secret of 256 bits. */
  newSecret(): string;
  /** Writes a copy of the database and returns its path; `null` with a database server. */
  backup: (() => Promise<string>) | null;
  /** What machines download; `null` = nothing is served. */
  install: InstallPorts | null;
  /** The set-up of a node that runs in this process, with its output so far. */
  live(node: NodeId): BootstrapAttempt | null;
  /** Joins, rotation, audit and failed logins; `null` in simulations. */
  admission: Admission | null;
  /** Checks the tokens of agents in pods; `null` without a cluster. */
  pods: PodTokens | null;
  /** The fleet's own certificate authority, PEM, which agents pin by its fingerprint. */
  caPem: string | null;
  /** Why the server is not ready; empty = ready. */
  notReady(): Promise<string[]>;
  /** Reloads of the configuration; `null` in simulations and before the process listens. */
  reloader(): Reloader | null;
  /** What people broke on purpose; `null` in virtual time. */
  simulation: Simulation | null;
  /** Workflows that this process runs as leader. */
  workflows: WorkflowRuns;
  /** Where calls that change something are traced; `null` = nowhere. */
  traces: { take(spans: readonly Span[]): void } | null;
  /** Pools of worker pods; the leader serves them. */
  agentPools: AgentPools;
  /** The cluster that the console shows; `null` without one, and on a standby. */
  console: ConsoleCluster | null;
  /** The demand queue; the leader serves it. */
  queue: DemandQueue;
  /** Host names, besides addresses, that requests without a token may use. */
  names: ReadonlySet<string>;
};

export type Env = {
  /** `remote` is the address of the socket's other end, if there is a socket. */
  Bindings: {
    remote?: string;
    /** For calls inside this process: who makes the call, already checked. */
    principal?: Principal;
    /** True if the leader does not answer and this standby answers from its own copy. */
    standby?: boolean;
  };
  Variables: {
    principal: Principal;
    requestId: string;
    /** For the audit: the error code, and caller and target where the path does not name them. */
    code: ErrorCode;
    who: string;
    target: string;
    /** For the audit: the Kubernetes namespace of the target, and why the call was refused. */
    namespace: string;
    detail: string;
    /** What the route declared to read: see `takes` and `asks`. */
    takes: GenericSchema;
    asks: GenericSchema;
    /** The audit row exists already. */
    audited: boolean;
    /** The audit row of an action that began; its outcome is recorded with the answer. */
    begun: number;
    /** A read that has an audit row. */
    recorded: boolean;
  };
};
export type App = Hono<Env>;
