/**
 * A route is a row with everything that is known of it: `table.ts` lists the rows, and application,
 * port, audit and the generated pages read them. Sections say what holds below a prefix, also for
 * a path that is no route.
 */
import type { Context, Hono } from "hono";
import type { GenericSchema } from "valibot";
import type { ErrorCode } from "../../../schema/api.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import type { NarrowRole, Role } from "../../../schema/credential.ts";
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

/** What holds for a prefix and all below it, or for one path alone. */
export type Section = {
  prefix: string;
  isExact?: true;
  /**
   * `api`: needs a token, unless its route says otherwise. `console`: as `api`, for callers on
   * internal networks alone, and with flat errors: `{error, code}`. `page`: for a browser, by the
   * session of its reader.
   */
  kind: "api" | "console" | "page";
};

/** The prefix under which the routes of `/v1` are served as well. */
export const V1_ALIAS = "/api/v1";

const PAGES = ["/login", "/logout", "/fleet", "/safety", "/money", "/events", "/audit", "/docs"];
PAGES.push("/deployment", "/autoscaling");

export const SECTIONS: readonly Section[] = [
  ...["/v1", V1_ALIAS, "/rest"].map((prefix) => ({ prefix, kind: "api" }) as const),
  ...["/admin", "/allocations", "/hpa-events", "/pipelines", "/queue"].map((end) => {
    return { prefix: `/api${end}`, kind: "console" } as const;
  }),
  ...PAGES.map((prefix) => ({ prefix, kind: "page" }) as const),
  ...["/", "/live"].map((prefix) => ({ prefix, kind: "page", isExact: true }) as const),
  { prefix: "/openapi.json", kind: "api", isExact: true },
];

/** `null`: beside its routes nothing is known of the path. */
export function sectionOf(path: string): Section | null {
  const found = SECTIONS.find(({ prefix, isExact }) => {
    return path === prefix || (isExact !== true && path.startsWith(`${prefix}/`));
  });
  return found ?? null;
}

export const isPage = (path: string): boolean => sectionOf(path)?.kind === "page";

/** The decoded parameters of a path, such as `id` of `/v1/nodes/:id`; `null` = it is another. */
export function matchPath(pattern: string, path: string): ReadonlyMap<string, string> | null {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== given.length) return null;
  const found = new Map<string, string>();
  for (const [at, part] of wanted.entries()) {
    const text = given[at] ?? "";
    if (!part.startsWith(":")) {
      if (part !== text) return null;
      continue;
    }
    const value = decode(text);
    if (value === null || value === "") return null;
    found.set(part.slice(1), value);
  }
  return found;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

export type Access =
  /** The holder of a token with this role, or with one that includes it. */
  | Exclude<Role, NarrowRole>
  /** The holder of any valid token. */
  | "token"
  /** As `token`; the report itself says for which node, and `takeReport` judges that. */
  | "agent"
  /** Nobody is known yet: the body carries a join token, or is signed. */
  | "join"
  | "signature"
  /** The reader of a page, whose session and role the page itself checks (`page.ts`). */
  | "page"
  /** Whoever reaches the port; of the metrics page the configuration may ask more. */
  | "public"
  | "metrics";

type Common<P> = {
  access: Access;
  /** A role besides, which includes no other and is included by none. */
  also?: NarrowRole;
  /** One line for `docs/api.md` and `openapi.json`, which list no pages. */
  says: string;
  /** What it reads: `readBody` and `readQuery` read no other. */
  body?: GenericSchema;
  query?: GenericSchema;
  /** Where it differs from `LIMIT.requestBytesMax`. */
  bytesMax?: number;
  /** Answers without an error; default 200. */
  status?: readonly number[];
  /** The answer is no JSON. */
  isText?: true;
  run: (c: Context<Env>, ports: P) => Response | Promise<Response>;
};

/** For the audit: what a call does, and to what kind of object: the path's last parameter. */
type Act = readonly [verb: string, kind: string | null];

type Read<P> = Common<P> & {
  at: `GET /${string}`;
  /** Default: `get`, of no kind. */
  act?: Act;
  /** Each call has an audit row, as it may show what its reader may not otherwise see. */
  isRecorded?: true;
  /** Only the leader answers well; a standby answers itself if the leader does not. */
  isLeaders?: true;
};

type Change<P> = Common<P> & {
  at: `${"POST" | "PUT" | "DELETE"} /${string}`;
  act: Act;
  /**
   * Default: each call has an audit row. `failed`: those that failed alone, as programs call it all
   * the time. `shared`: equal calls share a row a minute. `repeated`: those that are answered with
   * 200, which only repeat an answer, share one.
   */
  rows?: "failed" | "shared" | "repeated";
};

/** `P` is what it is given of the control plane. */
export type Route<P = never> = Read<P> | Change<P>;

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
    /** Absent for a call of no route. */
    route: Route;
    /** For the audit: the error code, and caller and target where the path does not name them. */
    code: ErrorCode;
    who: string;
    target: string;
    /** For the audit: the Kubernetes namespace of the target, and why the call was refused. */
    namespace: string;
    detail: string;
    /** The audit row exists already. */
    audited: boolean;
    /** The audit row of an action that began; its outcome is recorded with the answer. */
    begun: number;
  };
};
export type App = Hono<Env>;

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
