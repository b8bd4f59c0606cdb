/**
 * Every call's way in and out: who speaks, how often that may fail, and the row that says what came
 * of it. A call that changes something has its row before it has its answer; one that only reads
 * has none, unless it was turned away.
 */
import type { Context } from "hono";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import type { AuditDraft } from "../../../schema/audit.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Judgement, Principal, Rejection } from "../../security/auth.ts";
import { refuse, refuseUpgrade, type Env, type RoutePorts } from "./app.ts";

/** What a path is about: its second part, where the first names a kind of thing. */
const TARGET = /\/v1\/(?:nodes|pools|tokens|join-tokens|instances|commands|bootstraps)\/([^/]+)/;
/** Answered with 200 where the answer was given before, and with 201 the first time. */
const JOIN = /\/v1\/agent\/join$/;
/** Reports are not audited one by one, they are the product's own traffic; refused ones are. */
const REPORT = /\/v1\/agent\/report$/;
const PATH_CHARS_MAX = 200;

/** The caller's address as the socket has it; empty without a socket. */
export function remoteOf(c: Context<Env>): string {
  // A request without bindings has no env at all.
  const env: Env["Bindings"] | undefined = c.env;
  return env?.remote ?? "";
}

/** Notes what came of a call. */
export async function auditCall(
  c: Context<Env>,
  next: () => Promise<void>,
  ports: RoutePorts,
): Promise<void> {
  await next();
  const { admission } = ports;
  if (admission === undefined) return;
  const { method, path } = c.req;
  const { status } = c.res;
  const principal: Principal | undefined = c.get("principal");
  // Mistakes of strangers, nodes and viewers share rows, too, or each could push out what was done.
  const mayChange = principal !== undefined && roleIncludes(principal.role, "operator");
  const vain = !mayChange && status >= 400;
  const refused = vain || status === 401 || status === 403 || status === 429;
  const reads = method === "GET" || method === "HEAD" || method === "OPTIONS";
  const report = REPORT.test(path);
  // A refused report has its row already, whichever way it came.
  if ((report && status !== 401 && status !== 429) || (reads && !refused)) return;
  const draft: AuditDraft = {
    at: ports.clock.wallMs(),
    refused,
    who: c.get("who") ?? principal?.name ?? "anonymous",
    role: principal?.role ?? null,
    method,
    path: path.slice(0, PATH_CHARS_MAX),
    target: c.get("target") ?? targetOf(path),
    code: status < 400 ? "ok" : (c.get("code") ?? "internal"),
    status,
    remote: remoteOf(c),
    request: c.get("requestId") ?? "",
  };
  const again = status === 200 && JOIN.test(path);
  if (refused) await admission.audit.refused(draft);
  else await (again ? admission.audit.again(draft) : admission.audit.done(draft));
}

function targetOf(path: string): string | null {
  const found = TARGET.exec(path)?.[1];
  if (found === undefined) return null;
  try {
    return decodeURIComponent(found).slice(0, PATH_CHARS_MAX);
  } catch {
    return found.slice(0, PATH_CHARS_MAX);
  }
}

export const TOO_MANY = "too many failed authentications from this address";
const SAID: Record<Rejection, string> = {
  absent: "no token given",
  unknown: "token rejected",
  forged: "token rejected",
  revoked: "this token was revoked",
  outdated: "this credential was replaced by a newer one",
  expired: "this token has expired",
};

/**
 * The answer to somebody who may not enter. Who shows what this fleet once made is told why it no
 * longer counts, and is named in the audit; a stranger learns nothing.
 */
export function turnAway(
  c: Context<Env>,
  ports: RoutePorts,
  why: Rejection,
  name: string | null,
): Response {
  const proven = why === "revoked" || why === "outdated" || why === "expired";
  if (proven && name !== null) c.set("who", name);
  else if (name !== null) c.set("target", name);
  const wait = ports.admission?.logins.failed(remoteOf(c)) ?? null;
  if (wait === null) return refuse(c, "unauthenticated", SAID[why]);
  const answer = refuse(c, "rate_limited", TOO_MANY);
  answer.headers.set("Retry-After", String(wait));
  return answer;
}

/** An upgrade, or a frame of one, that nobody may have: it never reaches the application. */
export function refuseStranger(
  ports: RoutePorts,
  judged: Extract<Judgement, { kind: "rejected" }>,
  from: { remote: string; path: string; method?: string },
): Response {
  const { admission } = ports;
  const { why, name } = judged;
  const proven = why === "revoked" || why === "outdated" || why === "expired";
  const wait = admission?.logins.failed(from.remote) ?? null;
  const code = wait === null ? "unauthenticated" : "rate_limited";
  void admission?.audit.refused({
    at: ports.clock.wallMs(),
    refused: true,
    who: proven && name !== null ? name : "anonymous",
    role: null,
    method: from.method ?? "UPGRADE",
    path: from.path.slice(0, PATH_CHARS_MAX),
    target: proven ? null : name,
    code,
    status: ERROR_STATUS[code],
    remote: from.remote,
    request: "",
  });
  const retryMs = wait === null ? null : wait * 1_000;
  return refuseUpgrade(code, wait === null ? SAID[why] : TOO_MANY, { retryMs });
}

/** The row of a report that was refused for whom it speaks, or would speak. */
export async function auditReport(
  ports: RoutePorts,
  from: { principal: Principal; node: NodeId; code: ErrorCode; remote: string; request: string },
): Promise<void> {
  const { principal, node, code, remote, request } = from;
  await ports.admission?.audit.refused({
    at: ports.clock.wallMs(),
    refused: true,
    who: principal.name,
    role: principal.role,
    method: "REPORT",
    path: "/v1/agent/report",
    target: node,
    code,
    status: 403,
    remote,
    request,
  });
}
