/**
 * Reports of agents: one handler behind the WebSocket and the POST. A node's credential speaks for
 * that node only; the shared token is answered with the node's own credential.
 */
import * as v from "valibot";
import { Report } from "../../../schema/report.ts";
import type { ErrorCode } from "../../../schema/api.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Ingest } from "../../runtime/ingest.ts";
import type { PodTokens } from "../../security/join/pod-token.ts";
import type { Quota } from "./quota.ts";
import type { Origin } from "../../../schema/node.ts";
import type { ReportReply } from "../../../schema/report.ts";
import { isSample } from "../../../schema/sample-check.ts";
import type { Principal } from "../../security/auth.ts";
import { plainAddress } from "../../core/address.ts";
import { isShared } from "../../core/fold/former-boot.ts";
import { doubtOf } from "../../core/fold/notice.ts";
import { refuse, parseJson, sayIssue } from "./request.ts";
import type { RoutePorts, Route } from "./route.ts";
import { auditReport, remoteOf } from "./gate.ts";
import { LIMIT } from "../../../schema/limit.ts";

export type ReportAnswer =
  | { kind: "reply"; reply: ReportReply }
  /** `retryMs`: nothing was taken; the same report can be sent again after it. */
  | { kind: "error"; code: ErrorCode; message: string; retryMs?: number };

export type AgentPorts = RoutePorts & {
  ingest: Ingest;
  /** Rate limits of agents. */
  quota: Quota;
  /** Checks the tokens of agents in pods; `null` without a cluster. */
  pods: PodTokens | null;
};

/** Where a report came from, for the audit. */
export type ReportOrigin = { remote: string; request: string };
const NOWHERE: ReportOrigin = { remote: "", request: "" };

/** Checks role, shape and identity of a report, and makes it durable. `raw` is parsed JSON. */
export async function takeReport(
  ports: AgentPorts,
  principal: Principal,
  raw: unknown,
  origin: ReportOrigin = NOWHERE,
): Promise<ReportAnswer> {
  const parsed = parseReport(raw);
  const denied = async (message: string, claimed?: NodeId): Promise<ReportAnswer> => {
    const node = claimed ?? (parsed.success ? parsed.output.node_id : null);
    await auditReport(ports, { principal, node, ...origin });
    return { kind: "error", code: "permission_denied", message };
  };
  const mayReport = principal.role === "node" || principal.role === "admin";
  if (!mayReport) return denied(`role ${principal.role} may not report`);
  if (!parsed.success) {
    ports.metrics.countReport("refused");
    return { kind: "error", code: "invalid_argument", message: sayIssue(parsed.issues[0]) };
  }
  // A shared token does not replace a revoked credential.
  if (ports.authority.isRevoked(parsed.output.node_id)) {
    return denied(`the credentials of ${parsed.output.node_id} are revoked`);
  }
  const { findings, gaps, results, inventory, notice } = parsed.output;
  // A join token is for one pool, so its machine cannot name another.
  const joined = principal.node === null ? null : ports.authority.poolOf(principal.node);
  if (inventory?.pool && joined !== null) inventory.pool = joined;
  const worker = principal.node === null ? null : ports.authority.workerOf(principal.node);
  if (inventory && worker !== null) {
    // A pod is not the machine below it, and has some of its GPUs at most.
    Object.assign(inventory, { pool: null, provider_ids: [], instance_type: null });
  }
  const news = (findings?.length ?? 0) + (gaps?.length ?? 0) + (results?.length ?? 0);
  const waitMs = ports.quota.take(principal.node ?? parsed.output.node_id, { news });
  if (waitMs > 0) return throttled(ports, waitMs);
  const isRevoked = (node: NodeId): boolean => ports.authority.isRevoked(node);
  const { node_id: name, pod_token: token } = parsed.output;
  const originOf = (node: NodeId): Origin => {
    if (inventory) ports.pods?.registered(node, name, token ?? null);
    return {
      address: plainAddress(origin.remote),
      vouched: principal.node !== null && ports.authority.isVouched(node),
      ...(ports.pods?.of(node) ?? { pod: null }),
      ...(worker === null ? {} : { worker }),
    };
  };
  const answer = await ports.ingest.accept(parsed.output, principal.node, isRevoked, originOf);
  if (answer.kind === "denied") return denied(answer.message, answer.node);
  if (answer.kind === "unavailable") {
    return { kind: "error", code: "unavailable", message: answer.message };
  }
  ports.metrics.countReport("accepted");
  const doubt = notice === undefined ? null : doubtOf(notice, ports.clock.wallMs());
  if (doubt !== null) ports.metrics.countIgnoredNotice(doubt);
  const { reply } = answer;
  const word = worker === null ? null : hearWorker(ports, reply.node_id, parsed.output);
  if (word !== null) reply.worker = word;
  // An agent that is asked for what it has just sent would pause.
  if (!inventory && ports.pods?.wants(reply.node_id)) reply.want_inventory = true;
  const credential =
    principal.role === "node"
      ? ((await ports.admission?.keys.heard(principal, sharesKey(ports, reply.node_id))) ?? null)
      : ports.authority.issueNode(reply.node_id);
  return { kind: "reply", reply: credential === null ? reply : { ...reply, credential } };
}

/** Whether two senders use the node's present credential. */
export function sharesKey(
  { reconciler, authority, clock }: Pick<RoutePorts, "reconciler" | "authority" | "clock">,
  node: NodeId,
): boolean {
  const agent = reconciler.fleet().nodes.get(node)?.agent ?? null;
  return isShared(agent, authority.keyOf(node).at, clock.wallMs());
}

/** An agent that says nothing of itself as a worker has the pool's slots, and serves. */
function hearWorker({ agentPools }: RoutePorts, node: NodeId, { worker }: Report) {
  return agentPools.heard(node, worker ?? { slots: null, stop: "no", ignored: [] });
}

/** The answer to a report that comes too soon: the agent keeps it and sends it again. */
export function throttled(
  ports: Pick<RoutePorts, "metrics">,
  retryMs: number,
): Extract<ReportAnswer, { kind: "error" }> {
  ports.metrics.countReport("throttled");
  const message = `report rate limit of this node exceeded: retry in ${retryMs} ms`;
  return { kind: "error", code: "rate_limited", message, retryMs };
}

/** A report of 256 KiB has room for 100,000 issues, which take 0.1 s to collect. */
const FIRST_ISSUE = { abortEarly: true } as const;

/**
 * Parses a report. A valid sample, nine tenths of the bytes, skips the schema; an invalid one goes
 * through it, for the message.
 */
function parseReport(raw: unknown): v.SafeParseResult<typeof Report> {
  if (typeof raw !== "object" || raw === null || !("sample" in raw) || !isSample(raw.sample))
    return v.safeParse(Report, raw, FIRST_ISSUE);
  const { sample, ...rest } = raw;
  const parsed = v.safeParse(Report, rest, FIRST_ISSUE);
  if (!parsed.success) return parsed;
  parsed.output.sample = sample;
  // Both UUIDs are kept in memory: one string for the two saves half a kilobyte per node.
  for (const [position, gpu] of (parsed.output.inventory?.gpus ?? []).entries()) {
    const twin = sample.gpus[position];
    if (twin?.uuid === gpu.uuid) twin.uuid = gpu.uuid;
  }
  return parsed;
}

export const agentRoutes: readonly Route<AgentPorts>[] = [
  {
    at: "POST /v1/agent/report",
    access: "agent",
    act: ["report", "node"],
    body: Report,
    bytesMax: LIMIT.reportBytesMax,
    says: "an agent's report; also the WebSocket `/v1/agent/stream`",
    run: async (c, ports) => {
      const raw = parseJson(await c.req.text(), "body");
      const started = ports.clock.monoMs();
      const origin = { remote: remoteOf(c), request: c.get("requestId") };
      const answer = await takeReport(ports, c.get("principal"), raw, origin);
      ports.metrics.observeIngest(ports.clock.monoMs() - started);
      if (answer.kind === "reply") return c.json(answer.reply, 202);
      const { code, message, retryMs } = answer;
      if (retryMs === undefined) return refuse(c, code, message);
      return refuse(c, code, message, { retry_after_ms: retryMs }, Math.ceil(retryMs / 1_000));
    },
  },
];
