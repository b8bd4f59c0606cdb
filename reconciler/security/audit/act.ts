/**
 * What a call of the HTTP API does, in the words of the audit: a verb, and the kind of its object.
 * Pure.
 */
import type { AuditRow } from "../../../schema/audit.ts";

/**
 * Every route that changes something, without its prefix; a test compares them. Of routes that
 * read, those whose every call has a row.
 */
const ACTS: Readonly<Record<string, readonly [verb: string, kind: string]>> = {
  "POST /nodes/:id/cordon": ["cordon", "node"],
  "POST /nodes/:id/uncordon": ["uncordon", "node"],
  "POST /nodes/:id/drain": ["drain", "node"],
  "POST /nodes/:id/replace": ["replace", "node"],
  "POST /nodes/:id/terminate": ["terminate", "node"],
  "DELETE /nodes/:id": ["forget", "node"],
  "POST /nodes/:id/faults": ["inject", "node"],
  "DELETE /nodes/:id/faults": ["clear", "node"],
  "PUT /providers/:name/failure": ["fail", "provider"],
  "DELETE /providers/:name/failure": ["heal", "provider"],
  "PUT /pools/:pool/size": ["resize", "pool"],
  "POST /pools/:pool/grow": ["grow", "pool"],
  "POST /pools/:pool/shrink-target": ["shrink", "pool"],
  "POST /pools/:pool/remove": ["remove", "pool"],
  "PUT /pools/:pool/demand": ["demand", "pool"],
  "PUT /pools/:pool/hold": ["hold", "pool"],
  "DELETE /pools/:pool/hold": ["resume", "pool"],
  "PUT /safety/freeze": ["freeze", "fleet"],
  "DELETE /safety/freeze": ["unfreeze", "fleet"],
  "PUT /safety/trusted/:rule": ["trust", "rule"],
  "DELETE /safety/lemons/:uuid": ["forgive", "gpu"],
  "POST /fleets/:id/adopt": ["adopt", "fleet"],
  "POST /fleets/:id/ignore": ["ignore", "fleet"],
  "POST /config/diff": ["diff", "configuration"],
  "POST /config/reload": ["reload", "configuration"],
  "POST /upgrade": ["start", "upgrade"],
  "DELETE /upgrade": ["stop", "upgrade"],
  "POST /tokens": ["create", "token"],
  "DELETE /tokens/:id": ["revoke", "token"],
  "POST /tokens/:id/rotate": ["rotate", "token"],
  "POST /join-tokens": ["create", "join_token"],
  "DELETE /join-tokens/:id": ["revoke", "join_token"],
  "POST /admin/backup": ["backup", "database"],
  "POST /admin/activations": ["dump", "database"],
  "POST /slurm/resume": ["resume", "slurm_node"],
  "POST /slurm/suspend": ["suspend", "slurm_node"],
  "POST /slurm/resume-fail": ["resume_fail", "slurm_node"],
  "POST /pools/:namespace/:pool/claims": ["claim", "agentpool"],
  "DELETE /claims/:id": ["release", "claim"],
  "POST /kubernetes/pods/:pod/restart": ["restart", "pod"],
  "POST /kubernetes/pods/:pod/kill": ["kill", "pod"],
  "GET /kubernetes/logs/:pod": ["logs", "pod"],
  "POST /kubernetes/flux/:kind/:namespace/:name/reconcile": ["reconcile", "flux"],
  "POST /kubernetes/flux/:kind/:namespace/:name/suspend": ["suspend", "flux"],
  "POST /kubernetes/flux/:kind/:namespace/:name/resume": ["resume", "flux"],
  "POST /workflows": ["submit", "workflow"],
  "POST /workflows/:id/cancel": ["cancel", "workflow"],
  "POST /allocations": ["compute", "allocation"],
  "POST /console/links": ["create", "login_link"],
  "POST /pipelines": ["report", "pipeline"],
  "GET /deployment/pod/:namespace/:name/logs": ["logs", "pod"],
  "POST /login": ["log_in", "session"],
  "POST /login/once": ["log_in", "session"],
  "POST /logout": ["log_out", "session"],
  "POST /queue/tasks": ["submit", "task"],
  "DELETE /queue/tasks/:id": ["cancel", "task"],
  "POST /queue/tasks/:id/release": ["release", "task"],
  "POST /queue/tasks/lease": ["lease", "task"],
  "POST /queue/tasks/:id/heartbeat": ["keep", "task"],
  "POST /queue/tasks/:id/complete": ["complete", "task"],
  "POST /queue/tasks/:id/fail": ["fail", "task"],
  "POST /agent/join": ["join", "node"],
  "POST /agent/report": ["report", "node"],
};

type Act = { verb: string; kind: string | null };
type Pattern = Act & { method: string; path: RegExp };

const PATTERNS: readonly Pattern[] = Object.entries(ACTS).map(([route, [verb, kind]]) => {
  const [method = "", path = ""] = route.split(" ");
  return { method, path: new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`), verb, kind };
});

/** What a call without an entry does: a read that was refused, or a route that does not exist. */
const VERB_OF: Readonly<Record<string, string>> = {
  POST: "create",
  PUT: "update",
  PATCH: "update",
  DELETE: "delete",
  UPGRADE: "connect",
  REPORT: "report",
};

/** Kinds by the first part of a path, for calls without an entry. */
const KIND_OF: Readonly<Record<string, string>> = {
  nodes: "node",
  pools: "pool",
  tokens: "token",
  "join-tokens": "join_token",
  instances: "instance",
  commands: "command",
  agent: "node",
  audit: "audit",
  workflows: "workflow",
  agentpools: "agentpool",
  claims: "claim",
  kubernetes: "cluster",
  queue: "task",
};

const PREFIX = new RegExp(
  "^(?:(?:/api)?/v1|/api/admin(?:/kubernetes(?=/nodes))?|" +
    "/api(?=/(?:allocations|hpa-events|pipelines|queue)(?:/|$)))(?=/)",
);

export function actOf(method: string, path: string): Act {
  const own = path.replace(PREFIX, "");
  const known = PATTERNS.find((one) => one.method === method && one.path.test(own));
  if (known !== undefined) return { verb: known.verb, kind: known.kind };
  const kind = KIND_OF[own.split("/")[1] ?? ""] ?? null;
  return { verb: VERB_OF[method] ?? "get", kind };
}

/** `row` with the verb and kind that rows of older releases lack. */
export function withAct(row: AuditRow): AuditRow & { verb: string } {
  const { verb } = row;
  return verb === null ? { ...row, ...actOf(row.method, row.path) } : { ...row, verb };
}

/** As `AuditQuery.object` names it. */
export function isObject({ kind, namespace, target, mark }: AuditRow, object: string): boolean {
  if (mark?.names.includes(object) === true) return true;
  if (target === null) return false;
  const names = [target, ...(kind === null ? [] : [`${kind}/${target}`])];
  if (namespace !== null) names.push(`${namespace}/${target}`);
  if (namespace !== null && kind !== null) names.push(`${kind}/${namespace}/${target}`);
  return names.includes(object);
}
