/**
 * A route is a row with everything that is known of it: `table.ts` lists the rows, and application,
 * port, audit and the generated pages read them. Sections say what holds below a prefix, also for
 * a path that is no route.
 */
import type { Context, Hono } from "hono";
import type { GenericSchema } from "valibot";
import type { ErrorCode } from "../../../schema/api.ts";
import type { NarrowRole, Role } from "../../../schema/credential.ts";
import type { Authority, Principal } from "../../security/auth.ts";
import type { AgentPools } from "../../core/agentpool/service.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Reloader } from "../../core/reload.ts";
import type { Admission } from "../../security/join/admission.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Store } from "../../core/store.ts";

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

/** `null`: beside its routes nothing is known of the path. Asked several times for each call. */
export function sectionOf(path: string): Section | null {
  for (const section of SECTIONS) {
    const { prefix, isExact } = section;
    if (!path.startsWith(prefix)) continue;
    if (path.length === prefix.length) return section;
    if (isExact !== true && path[prefix.length] === "/") return section;
  }
  return null;
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

/** What most routes are given; what one family needs besides is a type of its own. */
export type RoutePorts = {
  reconciler: Reconciler;
  authority: Authority;
  store: Store;
  metrics: Metrics;
  clock: Clock;
  log: Log;
  /** A fresh id, for commands, tokens and requests. */
  newId(): string;
  /** A fresh secret of 256 bits. */
  newSecret(): string;
  /** Joins, rotation, audit and failed logins; `null` in simulations. */
  admission: Admission | null;
  /** Reloads of the configuration; `null` in simulations and before the process listens. */
  reloader(): Reloader | null;
  /** Pools of worker pods; the leader serves them. */
  agentPools: AgentPools;
};
