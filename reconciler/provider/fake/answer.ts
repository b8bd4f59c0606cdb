/**
 * Decides the fake cloud's answers and journal entries. The functions change nothing: the caller
 * journals and applies the entries before it answers, so that a restart knows everything that was
 * answered.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  Instance,
  TerminateAnswer,
} from "../../core/provider.ts";
import type { Entry } from "./entry.ts";
import type { CreateFate, Refusal, TerminateFate } from "./fault.ts";
import type { Held, Terms, World } from "./world.ts";

/** Tags that identify an existing instance of the same name as the caller's own. */
const OWNERSHIP = ["navarch-fleet", "navarch-pool", "navarch-node", "navarch-slot", "navarch-gen"];

/** Result of the idempotency check of a request. */
export type Judgement =
  | { kind: "new" }
  | { kind: "same"; held: Held }
  | { kind: "refused"; refusal: Refusal };

const refused = (
  name: Refusal["class"],
  message: string,
  retryAfterMs: Millis | null = null,
): Judgement => ({ kind: "refused", refusal: { class: name, message, retryAfterMs } });

function judgeToken(world: World, request: CreateRequest): Judgement {
  const id = world.tokens.get(request.token);
  if (id === undefined) return { kind: "new" };
  const held = world.instances.get(id);
  if (held === undefined || held.instance.state === "terminated") {
    // EC2's IdempotentInstanceTerminated: a token creates one instance. The offer is available, so
    // a request with a new token may follow immediately.
    return refused(
      "bad_request",
      `token spent: ${request.token} made ${id}, which is terminated`,
      waitMs(0),
    );
  }
  const { name, instanceType } = held.instance;
  if (name !== request.name || instanceType !== request.instanceType) {
    // EC2's IdempotentParameterMismatch: a bug or a changed payload, never a new instance.
    return refused(
      "bad_request",
      `token conflict: ${request.token} was used for ${name} (${instanceType})`,
    );
  }
  return { kind: "same", held };
}

function judgeName(world: World, request: CreateRequest): Judgement {
  const id = world.names.get(request.name);
  const held = id === undefined ? undefined : world.instances.get(id);
  if (held === undefined) return { kind: "new" };
  const own = OWNERSHIP.every((tag) => held.instance.tags[tag] === request.tags[tag]);
  if (own) return { kind: "same", held };
  return refused("bad_request", `name exists: ${request.name} belongs to another`);
}

/** Checks a request as this class of provider does (docs/reference/providers.md#classes). */
export function judge(world: World, terms: Terms, request: CreateRequest, fence: Fence): Judgement {
  const stale = judgeFence(world, fence);
  if (stale !== null) return { kind: "refused", refusal: stale };
  switch (terms.class) {
    case "token":
      return judgeToken(world, request);
    case "name":
      return judgeName(world, request);
    case "tag-only":
      return { kind: "new" };
    default:
      return unreachable(terms.class);
  }
}

function judgeFence(world: World, fence: Fence): Refusal | null {
  const seen = world.fences.get(fence.nodeId);
  if (seen === undefined || fence.fence >= seen) return null;
  const message = `fence ${fence.fence} of ${fence.nodeId} is older than ${seen}`;
  return { class: "stale_fence", message, retryAfterMs: null };
}

/** The instance that a request creates when it takes effect. */
export function instanceOf(
  terms: Terms,
  pending: { id: InstanceId; request: CreateRequest; pricePerHour: number | null },
  landedAtMs: number,
): Instance {
  const { request } = pending;
  return {
    id: pending.id,
    name: request.name,
    token: terms.class === "token" ? request.token : null,
    state: "provisioning",
    tags: { ...request.tags },
    region: request.region,
    zone: request.zone,
    instanceType: request.instanceType,
    internalIp: null,
    externalIp: null,
    createdAtMs: landedAtMs,
    hostKeys: null,
    failure: null,
    notice: null,
    pricePerHour: pending.pricePerHour,
  };
}

function no(refusal: Refusal): CreateAnswer & TerminateAnswer {
  return { kind: "refused", ...refusal };
}

const AMBIGUOUS_LOST = { kind: "ambiguous", message: "the answer was lost" } as const;

/** Decides a create: entries, and the answer to give after they are durable. */
export function decideCreate(
  world: World,
  terms: Terms,
  request: CreateRequest,
  fence: Fence,
  fate: CreateFate,
  nowMs: number,
): { entries: Entry[]; answer: CreateAnswer; id: InstanceId | null } {
  if (fate.askLost) {
    const answer = { kind: "ambiguous", message: "the request was lost" } as const;
    return { entries: [], answer, id: null };
  }
  const reply = fate.replyLost ? "lost" : "sent";
  const say = (answer: CreateAnswer) => (fate.replyLost ? AMBIGUOUS_LOST : answer);
  const about = { atMs: nowMs, nodeId: fence.nodeId, fence: fence.fence } as const;
  const refuse = (refusal: Refusal) => {
    const { message, class: cls } = refusal;
    const { token } = request;
    const entry: Entry = { kind: "create.refused", ...about, token, class: cls, message, reply };
    return { entries: [entry], answer: say(no(refusal)), id: null };
  };
  const accept = (landAtMs: number) => {
    const id = `${terms.name}-${world.salt}-${world.ordinal + 1}` as InstanceId;
    const pricePerHour =
      fate.prices?.[request.instanceType] ??
      terms.prices[request.instanceType] ??
      terms.pricePerHour;
    const bootMs = fate.bootMs ?? terms.bootMs;
    const pending = { id, request, landAtMs, bootMs, pricePerHour };
    const accepted: Entry = { kind: "create.accepted", ...about, ...pending, reply };
    return { accepted, pending };
  };

  if (fate.door !== null) return refuse(fate.door);
  if (fate.landDelayMs > 0) {
    const { accepted, pending } = accept(nowMs + fate.landDelayMs);
    const message = "no answer in time";
    return { entries: [accepted], answer: { kind: "ambiguous", message }, id: pending.id };
  }
  const judgement = judge(world, terms, request, fence);
  switch (judgement.kind) {
    case "refused":
      return refuse(judgement.refusal);
    case "same": {
      const { instance } = judgement.held;
      const entry: Entry = {
        kind: "create.repeated",
        ...about,
        id: instance.id,
        token: request.token,
        reply,
      };
      return { entries: [entry], answer: say({ kind: "ok", instance }), id: null };
    }
    case "new": {
      if (fate.refusal !== null) return refuse(fate.refusal);
      const { accepted, pending } = accept(nowMs);
      const instance = instanceOf(terms, pending, nowMs);
      const runningAtMs = nowMs + pending.bootMs;
      const landed: Entry = { kind: "landed", atMs: nowMs, instance, runningAtMs };
      return { entries: [accepted, landed], answer: say({ kind: "ok", instance }), id: pending.id };
    }
    default:
      return unreachable(judgement);
  }
}

/** Terminates an instance, for Navarch (`fence`) or as an outside deletion (`null`). */
export function terminateEntry(
  terms: Terms,
  id: InstanceId,
  fence: Fence | null,
  fate: Pick<TerminateFate, "terminateMs" | "replyLost">,
  nowMs: number,
): Entry {
  const terminatedAtMs = nowMs + (fate.terminateMs ?? terms.terminateMs);
  return {
    kind: "terminate.accepted",
    atMs: nowMs,
    id,
    nodeId: fence?.nodeId ?? null,
    fence: fence?.fence ?? null,
    terminatedAtMs,
    vanishAtMs: terminatedAtMs + terms.retentionMs,
    forgetAtMs: terminatedAtMs + terms.tokenWindowMs,
    reply: fate.replyLost ? "lost" : "sent",
  };
}

export type Decided = { entries: Entry[]; answer: TerminateAnswer };

const FAILED: Decided = {
  entries: [],
  answer: { kind: "ambiguous", message: "internal error, no code" },
};

/** Decides a terminate, which is idempotent: a terminated instance is accepted again. */
export function decideTerminate(
  world: World,
  terms: Terms,
  id: InstanceId,
  fence: Fence,
  fate: TerminateFate,
  nowMs: number,
): Decided {
  if (fate.failed) return FAILED;
  const refusal = fate.door ?? judgeFence(world, fence);
  if (refusal !== null) {
    const { nodeId } = fence;
    const reply = fate.replyLost ? "lost" : "sent";
    const entry: Entry = {
      kind: "terminate.refused",
      atMs: nowMs,
      id,
      nodeId,
      fence: fence.fence,
      class: refusal.class,
      reply,
    };
    return { entries: [entry], answer: fate.replyLost ? AMBIGUOUS_LOST : no(refusal) };
  }
  const entries: Entry[] = [];
  let answer: TerminateAnswer = { kind: "not_found" };
  if (world.instances.has(id) && !fate.notFound) {
    if (!fate.ignored) entries.push(terminateEntry(terms, id, fence, fate, nowMs));
    answer = { kind: "accepted" };
  }
  return { entries, answer: fate.replyLost ? AMBIGUOUS_LOST : answer };
}

/** Decides a reboot: only a running machine can be rebooted. */
export function decideReboot(
  world: World,
  id: InstanceId,
  fence: Fence,
  fate: TerminateFate,
  nowMs: number,
): Decided {
  if (fate.failed) return FAILED;
  const refusal = fate.door ?? judgeFence(world, fence);
  if (refusal !== null) return { entries: [], answer: no(refusal) };
  const held = world.instances.get(id);
  if (held === undefined || held.instance.state !== "running" || fate.notFound) {
    return { entries: [], answer: { kind: "not_found" } };
  }
  const reply = fate.replyLost ? "lost" : "sent";
  const { nodeId } = fence;
  const about = { kind: "rebooted", atMs: nowMs, id, nodeId, fence: fence.fence } as const;
  const entries: Entry[] = fate.ignored ? [] : [{ ...about, reply }];
  return { entries, answer: fate.replyLost ? AMBIGUOUS_LOST : { kind: "accepted" } };
}
