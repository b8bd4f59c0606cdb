/**
 * Authentication failures and the audit of calls. A call that changes something has its audit row
 * before its answer; a call that only reads has a row only if it was refused.
 */
import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import type { AuditAct, AuditDraft } from "../../../schema/audit.ts";
import { type Role, roleIncludes } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import { nodeEvent } from "../../core/event-draft.ts";
import { endBoth } from "../../core/fold/former-boot.ts";
import { isInNetworks } from "../../core/network.ts";
import { emptyChange } from "../../core/store.ts";
import { actOf } from "../../security/audit/act.ts";
import type { Judgement, Principal, Rejection } from "../../security/auth.ts";
import type { Admission } from "../../security/join/admission.ts";
import { Sessions } from "../../security/session.ts";
import { refuse, refuseUpgrade, Refusal } from "./request.ts";
import type { Env, Route, RoutePorts } from "./route.ts";
import { SESSION_COOKIE } from "./page-frame.ts";

const READS: readonly string[] = ["GET", "HEAD", "OPTIONS"];
const PATH_CHARS_MAX = 200;
const DETAIL_CHARS_MAX = 400;

/** The address of the socket's other end; empty without a socket. */
export function remoteOf(c: Context<Env>): string {
  // A request without bindings has no env at all.
  const env: Env["Bindings"] | undefined = c.env;
  return env?.remote ?? "";
}

/** Records the outcome of a call. */
export async function auditCall(
  c: Context<Env>,
  next: () => Promise<void>,
  ports: RoutePorts,
): Promise<void> {
  await next();
  const { admission } = ports;
  const begun: number | undefined = c.get("begun");
  if (admission !== null && begun !== undefined) {
    return admission.audit.settle(begun, outcomeOf(c));
  }
  // The form of a page made a call, which has a row of its own.
  if (admission === null || c.get("audited")) return;
  const { status } = c.res;
  const principal: Principal | undefined = c.get("principal");
  // Mistakes of strangers, nodes and viewers share rows too, or they could push out real changes.
  const mayChange = principal !== undefined && roleIncludes(principal.role, "operator");
  const vain = !mayChange && status >= 400;
  const refused = vain || status === 401 || status === 403 || status === 429;
  const { isKept, isShared } = keptOf(c, refused);
  if (!isKept) return;
  const draft: AuditDraft = { ...callOf(c, ports), refused, ...outcomeOf(c) };
  // Viewers change nothing: they log in and make links to log in.
  const shares = refused || isShared || principal?.role === "viewer";
  await (shares ? admission.audit.share(draft) : admission.audit.done(draft));
}

/** Whether the call has an audit row, and whether equal ones share it. */
function keptOf(c: Context<Env>, refused: boolean): { isKept: boolean; isShared: boolean } {
  const route: Route | undefined = c.get("route");
  const { status } = c.res;
  // Accepted reports are the product's own traffic; `auditReport` has written a refused one's row.
  if (route?.access === "agent")
    return { isKept: status === 401 || status === 429, isShared: true };
  const rows = route !== undefined && "rows" in route ? route.rows : undefined;
  const isRead = READS.includes(c.req.method);
  const isRecorded = route !== undefined && "isRecorded" in route && isRead;
  return {
    isKept: (!isRead || refused || isRecorded) && !(rows === "failed" && status < 400),
    isShared: (rows === "repeated" && status === 200) || (rows === "shared" && status < 300),
  };
}

/**
 * Writes the row of an action whose effect is outside the database, before the effect. It is under
 * the leader's fence: who no longer leads writes no row, and does nothing.
 */
export async function beginAudit(c: Context<Env>, ports: RoutePorts): Promise<void> {
  if (ports.admission === null) return;
  const draft = { ...callOf(c, ports), refused: false, detail: null };
  const id = await ports.admission.audit.begin(draft);
  if (id === null) {
    throw new Refusal("unavailable", "the audit log cannot be written, so nothing was done");
  }
  c.set("begun", id);
}

function callOf(c: Context<Env>, ports: RoutePorts) {
  const { method, path } = c.req;
  const route: Route | undefined = c.get("route");
  const principal: Principal | undefined = c.get("principal");
  return {
    at: ports.clock.wallMs(),
    who: c.get("who") ?? principal?.name ?? "anonymous",
    role: principal?.role ?? null,
    method,
    path: path.slice(0, PATH_CHARS_MAX),
    target: c.get("target") ?? nameIn(c, lastOf(route)),
    remote: remoteOf(c),
    request: c.get("requestId") ?? "",
    ...actOf(method, route?.act),
    namespace: c.get("namespace") ?? nameIn(c, "namespace"),
  };
}

function outcomeOf(c: Context<Env>): Pick<AuditDraft, "code" | "status" | "detail"> {
  const { status } = c.res;
  const code = status < 400 ? "ok" : (c.get("code") ?? "internal");
  return { code, status, detail: c.get("detail")?.slice(0, DETAIL_CHARS_MAX) ?? null };
}

/** The last parameter of the route's path, which names its object. */
const lastOf = (route: Route | undefined): string | undefined =>
  route?.at
    .split("/")
    .findLast((part) => part.startsWith(":"))
    ?.slice(1);

/** What the path has in the place of a parameter. */
function nameIn(c: Context<Env>, parameter: string | undefined): string | null {
  const found = parameter === undefined ? undefined : c.req.param(parameter);
  return found?.slice(0, PATH_CHARS_MAX) ?? null;
}

export const TOO_MANY = "too many failed authentications from this address";
export const messageOf = (why: Rejection): string => MESSAGES[why];
const MESSAGES: Record<Rejection, string> = {
  absent: "no token given",
  unknown: "token rejected",
  forged: "token rejected",
  revoked: "this token was revoked",
  outdated: "this credential was replaced by a newer one",
  expired: "this token has expired",
};

/**
 * For the audit: `who` if this fleet once issued the token, which proves the name; otherwise the
 * name is only a claim, and the target.
 */
export function suspectOf(why: Rejection, name: string | null) {
  const isProven = why === "revoked" || why === "outdated" || why === "expired";
  return isProven ? { who: name, target: null } : { who: null, target: name };
}

/**
 * Answers a caller without a valid token. The holder of a token that this fleet once issued learns
 * why it is no longer valid; a stranger learns nothing.
 */
export function turnAway(
  c: Context<Env>,
  ports: RoutePorts,
  why: Rejection,
  name: string | null,
): Response {
  const { who, target } = suspectOf(why, name);
  if (who !== null) c.set("who", who);
  if (target !== null) c.set("target", target);
  tellOutdated(ports, why, name, remoteOf(c));
  const wait = ports.admission?.logins.failed(remoteOf(c)) ?? null;
  if (wait === null) return refuse(c, "unauthenticated", MESSAGES[why]);
  return refuse(c, "rate_limited", TOO_MANY, {}, wait);
}

/**
 * The holder of the newer credential speaks for the node, and nothing else would show that the
 * machine's own agent is refused.
 */
function tellOutdated(
  { admission, clock, reconciler, store }: RoutePorts,
  why: Rejection,
  name: string | null,
  remote: string,
): void {
  if (admission === null || why !== "outdated" || name === null) return;
  const node = reconciler.fleet().nodes.get(name.slice("node:".length) as NodeId);
  if (node === undefined || !admission.keys.tellsOutdated(node.id)) return;
  const message =
    `an agent at ${remote} shows an earlier credential of this node and is refused: it is a ` +
    `copy, or the machine's own and a copy has the newer one. Then ${endBoth(node.id)}`;
  const event = nodeEvent(node, clock.wallMs(), "node.registered", message);
  // A standby cannot write it; the leader is asked the same.
  store.commit({ ...emptyChange(), events: [event] }).catch(() => undefined);
}

/** What a reader shows: a token or, without one, a session of the console. */
export type Shown = { header: string | null; cookie: string | undefined };

export function shownBy(c: Context<Env>): Shown {
  const header = c.req.header("Authorization") ?? null;
  return { header, cookie: header === null ? getCookie(c, SESSION_COOKIE) : undefined };
}

export function judgeReader(
  { header, cookie }: Shown,
  { authority, clock }: Pick<RoutePorts, "authority" | "clock">,
): Judgement {
  const now = clock.wallMs();
  const judged = cookie === undefined ? null : new Sessions(authority).judge(cookie, now);
  return judged?.kind === "known" ? judged : authority.judge(header, now);
}

/** Whether what a reader has shown still proves the role: a stream outlives its request. */
export function hasRole(
  shown: Shown,
  role: Role,
  ports: Pick<RoutePorts, "authority" | "clock">,
): boolean {
  const judged = judgeReader(shown, ports);
  return judged.kind === "known" && judged.principal.role === role;
}

/** Whether the address is in the networks that internal pages are for. */
export function isInternal(
  remote: string,
  { reconciler }: Pick<RoutePorts, "reconciler">,
): boolean {
  return isInNetworks(remote, reconciler.activeConfig().server.console.networks);
}

/** Lets a caller with a valid token through, as `principal`. */
export async function authenticate(
  c: Context<Env>,
  next: () => Promise<void>,
  ports: RoutePorts,
): Promise<Response | void> {
  // A page of this process makes the call for its reader, who has been checked.
  const env: Env["Bindings"] | undefined = c.env;
  if (env?.principal !== undefined) {
    c.set("principal", env.principal);
    return next();
  }
  const given = c.req.header("Authorization") ?? null;
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  // A cookie changes nothing: browsers send it with what other pages make them send.
  const judged = reads
    ? judgeReader(shownBy(c), ports)
    : ports.authority.judge(given, ports.clock.wallMs());
  if (judged.kind === "rejected") {
    const why = given !== null && judged.why === "absent" ? "unknown" : judged.why;
    return turnAway(c, ports, why, judged.name);
  }
  c.set("principal", judged.principal);
  return next();
}

/** Answers a refused upgrade, or a frame of a stream, which do not reach the application. */
export function refuseStranger(
  ports: RoutePorts,
  { why, name }: Extract<Judgement, { kind: "rejected" }>,
  from: { remote: string; path: string; method?: string },
): Response {
  const { remote, method = "UPGRADE" } = from;
  tellOutdated(ports, why, name, remote);
  const wait = ports.admission?.logins.failed(remote) ?? null;
  const code = wait === null ? "unauthenticated" : "rate_limited";
  const { who, target } = suspectOf(why, name);
  const path = from.path.slice(0, PATH_CHARS_MAX);
  const call = { role: null, method, path, target, code, remote, request: "" } as const;
  void auditRefused(ports, { who: who ?? "anonymous", ...call });
  const retryMs = wait === null ? null : wait * 1_000;
  return refuseUpgrade(code, wait === null ? MESSAGES[why] : TOO_MANY, { retryMs });
}

/** The audit row of a report that its sender may not send; `node` is the one that it names. */
export async function auditReport(
  ports: RoutePorts,
  from: { principal: Principal; node: NodeId | null; remote: string; request: string },
): Promise<void> {
  const { principal, node, remote, request } = from;
  const { name: who, role } = principal;
  const path = "/v1/agent/report";
  const call = { method: "REPORT", path, target: node, code: "permission_denied" } as const;
  await auditRefused(ports, { who, role, ...call, remote, request });
}

async function auditRefused(
  { admission, clock }: RoutePorts,
  call: Omit<AuditDraft, "at" | "refused" | "status" | "code" | keyof AuditAct> & {
    code: ErrorCode;
  },
): Promise<void> {
  const outcome = { at: clock.wallMs(), refused: true, status: ERROR_STATUS[call.code] };
  const act = { ...actOf(call.method), kind: "node", namespace: null, detail: null };
  await admission?.audit.share({ ...call, ...outcome, ...act });
}

/** Throws in a simulation, where no machine joins. */
export function admissionOf({ admission }: Pick<RoutePorts, "admission">): Admission {
  if (admission !== null) return admission;
  throw new Refusal("not_found", "a simulation admits no machines");
}
