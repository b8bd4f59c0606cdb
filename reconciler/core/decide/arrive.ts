/**
 * Decides how a node comes into service: requested, booting, verified by its first full check.
 * Pure.
 */
import { isLeaving, type Node, type Phase, type Purpose } from "../../../schema/node.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolName } from "../../../schema/id.ts";
import { workOn } from "../fleet.ts";
import { REST_MAX_MS } from "../fold/bootstrap.ts";
import { isDefinitive } from "../safety/evident.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import { quarantinedIn } from "../safety/quarantined-hardware.ts";
import { addressOf, bootstrapPayload, comesBare, hindranceOf, setUpOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { darkness, unreadyIn } from "./kube.ts";
import { decideOrder, drainPayload } from "./leave.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { isResting } from "./rest.ts";
import { mayTake, pausedBy, priceOf, tryingKeys } from "./admit.ts";
import { createRequest, nextOffer } from "./offer.ts";

type At<K extends Phase["kind"]> = Extract<Phase, { kind: K }>;

export function decideRequested(
  node: Node,
  phase: At<"requested">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { pool, sight, fleet } = scope;
  const state = pool === null ? undefined : fleet.pools.get(pool.name);
  const gone: Phase = { kind: "gone", since: sight.now, purpose: "scale_down" };
  if (pool === null || state === undefined || node.slot === null) {
    return plan.advance(gone, "node.terminated", [
      "its pool is no longer configured and nothing was bought",
    ]);
  }
  if (scope.candidates.has(node.id)) {
    return plan.advance(gone, "node.terminated", [
      `pool ${pool.name} became smaller before anything was bought`,
    ]);
  }
  const paused = pausedBy(node, scope);
  if (paused !== null) return plan.wait("human", paused.message, paused.until);
  if (isResting(phase.notBefore, sight.now))
    return plan.wait("backoff", phase.refusal ?? "waits", phase.notBefore);
  if (isOccupied(node, scope))
    return plan.wait("replacement", `slot ${node.slot} still has a live instance`);
  const trying = tryingKeys(scope);
  const hindrance = hindranceOf(pool, sight);
  const usable = hindrance === null ? sight.providers : onlyComplete(sight);
  const answer = nextOffer(pool, state, usable, sight.now, trying);
  if (answer.kind === "wait") {
    if (hindrance === null) return plan.wait(answer.reason, answer.message, answer.until);
    return plan.wait("bootstrap", `nothing is bought: ${hindrance.message}`, answer.until);
  }
  const { offer } = answer;
  const price = priceOf(offer, scope);
  const ceiling = scope.spendBudget.take({ pool: pool.name, provider: offer.provider, price });
  if (ceiling !== null) return plan.wait("spend", ceiling);
  const guard = guardKey(pool, offer.key);
  if (isSuspect(guardOf(state, guard))) trying.add(guard);
  const request = createRequest({
    fleetId: fleet.fleetId,
    pool,
    nodeId: node.id,
    slot: node.slot,
    gen: node.gen,
    attempt: phase.attempt,
    offer,
  });
  plan.act({
    kind: "effect",
    node: node.id,
    payload: {
      kind: "create",
      provider: offer.provider as PoolName,
      offer: offer.key,
      guard,
      pricePerHour: price,
      request,
    },
    because: [`slot ${node.slot} of pool ${pool.name} is empty (wanted ${scope.desired})`],
  });
}

/** Those whose machines bring an agent: nothing else can become a node now. */
function onlyComplete(sight: Scope["sight"]): Scope["sight"]["providers"] {
  return new Map([...sight.providers].filter(([name]) => !comesBare(name, sight)));
}

/** At most one live instance a slot (invariant I2), except the pair of a `surge`. */
function isOccupied(node: Node, scope: Scope): boolean {
  for (const other of node.slot === null ? [] : (scope.bySlot.get(node.slot) ?? [])) {
    if (other.id === node.id) continue;
    const pair = other.phase.kind === "replacing" && other.phase.replacement === node.id;
    if (!pair) return true;
  }
  return false;
}

export function decideBooting(
  node: Node,
  phase: At<"booting"> | At<"bootstrapping">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight, timing } = scope;
  const loss = lossOf(node, scope);
  // A listing may lag behind a purchase: while it boots, only the cloud's own report ends it.
  if (loss !== null && node.instance?.absentSince === null) return lose(node, scope, plan, loss);
  if (node.order !== null)
    return fail(node, scope, plan, node.order.why, "operator", node.order.force);
  if (scope.candidates.has(node.id))
    return fail(node, scope, plan, "its pool became smaller", "scale_down");
  const setUp = setUpOf(node, scope);
  const doneAt = node.bootstrap?.doneAt ?? null;
  const isBare = setUp !== null && doneAt === null && !isTakenBack(node);
  if (isBare) return decideSetUp(node, phase, setUp, scope, plan);
  if (node.agent !== null) {
    return plan.advance({ kind: "verifying", since: sight.now }, "node.registered", [
      "its agent registered",
    ]);
  }
  // A control plane that was away could not hear the agent; that time is not counted.
  const waitedMs = Math.min(sight.now - (doneAt ?? phase.since), sight.attentiveMs);
  if (waitedMs >= timing.registrationTimeoutMs) {
    const why = `no agent registered within ${Math.round(waitedMs / 1000)} s`;
    if (isTakenBack(node)) return leaveBe(plan, why);
    return fail(node, scope, plan, `${why}${seenOf(node)}`, "failed");
  }
  plan.wait(
    "boot",
    `instance ${node.instance?.id ?? "?"} is ${node.instance?.state ?? "new"}, its agent is silent`,
    (doneAt ?? phase.since) + timing.registrationTimeoutMs,
  );
}

/** What is known of a node that was set up and stays silent, for people. */
function seenOf({ bootstrap, instance }: Node): string {
  if (bootstrap === null || bootstrap.doneAt === null || instance === null) return "";
  const { internalIp, externalIp, state, id } = instance;
  const at = externalIp ?? internalIp ?? "no address";
  return (
    ` of its set-up, which ended well (attempt ${bootstrap.attempts}): nothing was heard of an ` +
    `agent, instance ${id} is ${state} at ${at}`
  );
}

/**
 * Set up over SSH, attempt by attempt. A report before the set-up is done does not count: the
 * remaining commands may be the ones that make the machine fit for work.
 */
function decideSetUp(
  node: Node,
  phase: At<"booting"> | At<"bootstrapping">,
  setUp: PoolConfig["bootstrap"],
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const { instance } = node;
  const ended = node.bootstrap?.attempts ?? 0;
  if (node.operation !== null) {
    const more = scope.fleet.operations.get(node.operation)?.message ?? "running";
    return plan.wait("bootstrap", `set-up, attempt ${ended + 1} of ${setUp.attempts}: ${more}`);
  }
  const address = addressOf(node);
  if (instance === null || instance.state !== "running" || address === null) {
    const waitedMs = Math.min(sight.now - phase.since, sight.attentiveMs);
    const why = `no address within ${Math.round(setUp.ipWaitTimeoutMs / 1_000)} s`;
    if (waitedMs >= setUp.ipWaitTimeoutMs) return fail(node, scope, plan, why, "failed");
    const message = `instance ${instance?.id ?? "?"} is ${instance?.state ?? "new"}`;
    return plan.wait("boot", `${message}, no address yet`, phase.since + setUp.ipWaitTimeoutMs);
  }
  if (phase.kind === "booting") {
    const to: Phase = { kind: "bootstrapping", since: sight.now, attempt: 1 };
    return plan.advance(to, "node.bootstrapping", [`its set-up begins at ${address}`]);
  }
  if (node.bootstrap?.final === true || ended >= setUp.attempts) {
    const times = ended === 1 ? "" : ` ${ended} times`;
    const why = `its set-up failed${times}: ${node.bootstrap?.error ?? "?"}`;
    return fail(node, scope, plan, why, "failed");
  }
  const notBefore = node.bootstrap?.notBefore ?? 0;
  const hindrance = scope.pool === null ? null : hindranceOf(scope.pool, sight);
  if (hindrance !== null) return plan.wait("bootstrap", `its set-up waits: ${hindrance.message}`);
  if (isResting(notBefore, sight.now, REST_MAX_MS)) {
    const last = node.bootstrap?.error ?? "?";
    const message = `attempt ${ended + 1} of ${setUp.attempts} waits after: ${last}`;
    return plan.wait("backoff", message, notBefore);
  }
  const payload = bootstrapPayload(node, instance, address, setUp);
  const because = [`attempt ${payload.attempt} of ${setUp.attempts} at ${address}`];
  plan.act({ kind: "effect", node: node.id, payload, because });
}

export function decideVerifying(
  node: Node,
  phase: At<"verifying">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight, timing } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  // It may wait long for its cluster; its own reports count like a serving node's.
  if (loss !== null && node.order === null && !scope.candidates.has(node.id))
    return plan.wait("second_witness", `${loss}, but its agent reports: the cloud is not trusted`);
  if (node.order !== null && node.order.goal !== "drain" && node.instance !== null) {
    return fail(node, scope, plan, node.order.why, "operator", node.order.force);
  }
  if (scope.candidates.has(node.id) && node.instance !== null) {
    return fail(node, scope, plan, "its pool became smaller", "scale_down");
  }
  const lemon = node.instance === null ? null : quarantinedIn(node, scope.fleet, sight.now);
  if (lemon !== null) {
    const before = `replaced ${new Date(lemon.lastAt).toISOString()} because of ${lemon.because}`;
    return fail(node, scope, plan, `the cloud returned ${lemon.uuid}, ${before}`, "lemon");
  }
  const { health } = node;
  // The check may have come in the very report that registered the agent.
  const checked =
    health.lastCheckAt !== null && health.lastCheckAt >= (node.agent?.registeredAt ?? 0);
  const well = health.verdict === "healthy" || health.verdict === "degraded";
  if (checked && well && health.silentSince === null) return arrive(node, phase, scope, plan);
  const threshold = scope.pool?.health.unhealthyThreshold ?? 1;
  // Without a full check only permanent faults count: its driver may still be starting.
  const isKnown = checked || isDefinitive(node);
  if (health.verdict === "unhealthy" && health.unhealthyRun >= threshold && isKnown) {
    const why =
      health.held.find((h) => h.judgement.result === "unhealthy")?.judgement.because ?? "unhealthy";
    if (node.instance === null || isTakenBack(node)) {
      return plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", [why], "open");
    }
    return fail(node, scope, plan, `unhealthy at its first check: ${why}`, "failed");
  }
  // It may have been well for long, and wait for its cluster: only the silence since then counts,
  // and evidence below the threshold is no silence.
  const since = checked ? (health.lastCheckAt ?? phase.since) : phase.since;
  const waitedMs = Math.min(sight.now - Math.max(since, phase.since), sight.attentiveMs);
  if (waitedMs >= timing.registrationTimeoutMs && node.instance !== null) {
    const why = `not verified within ${Math.round(waitedMs / 1000)} s`;
    return isTakenBack(node) ? leaveBe(plan, why) : fail(node, scope, plan, why, "failed");
  }
  plan.wait(
    "boot",
    `its first full check is open (health ${health.verdict})`,
    phase.since + timing.registrationTimeoutMs,
  );
}

/**
 * Its first check is well. It serves once its cluster would place work on it: what takes another
 * one's place does so from then on. A healthy machine is never ended for what its cluster says:
 * one that is not found there may be there under an identity that nobody matched, or not be meant
 * to be there at all.
 */
function arrive(node: Node, phase: At<"verifying">, scope: Scope, plan: PlanBuilder): void {
  const { sight, timing } = scope;
  const because = [`its first full check is ${node.health.verdict}`];
  const serving: Phase = { kind: "serving", since: sight.now };
  const unready = unreadyIn(node, scope);
  if (unready === null) return plan.advance(serving, "node.verified", because);
  // Only a drain applies here: a Node that is not Ready may have work on it.
  if (node.order !== null) return decideOrder(node, scope, plan);
  const { message, isSure } = unready;
  const limitMs = timing.clusterReadyTimeoutMs;
  const waitedMs = Math.min(sight.now - phase.since, sight.attentiveMs);
  if (waitedMs < limitMs) return plan.wait("cluster", message, phase.since + limitMs);
  const why = `${message}, ${Math.round(waitedMs / 1_000)} s after its agent registered`;
  if (!isSure) return plan.advance(serving, "node.verified", [...because, why]);
  plan.wait("human", `${why}; it serves once that is fixed (kubernetes.ready)`);
}

/**
 * Found in the cloud's list after the record was lost or restored: nobody knows for how long it has
 * served and what runs on it. It is never set up again, and only evidence with a budget or a person
 * takes it out of service, drained; silence alone is no evidence (law 9).
 */
function isTakenBack({ instance }: Node): boolean {
  return instance?.adopted === true;
}

function leaveBe(plan: PlanBuilder, why: string): void {
  const message = `${why}: it was found in the cloud's list and may be at work`;
  plan.wait("human", `${message}; it stays until a person ends it`);
}

/**
 * Terminates a node that never served. It needs no drain, unless it was adopted, or its cluster
 * shows work on it or does not answer.
 */
function fail(
  node: Node,
  scope: Scope,
  plan: PlanBuilder,
  why: string,
  purpose: "failed" | "lemon" | "operator" | "scale_down",
  forced = false,
): void {
  const { sight } = scope;
  if (!forced && sight.blind.length > 0) return plan.wait("blind", sight.blind.join("; "));
  const paused = purpose === "operator" ? null : pausedBy(node, scope);
  if (paused !== null) return plan.wait("human", `${why}, but ${paused.message}`, paused.until);
  const dark = forced ? null : darkness(node, scope);
  if (dark !== null) return plan.wait("blind", `${why}, but ${dark}`);
  const isInCluster = node.kube !== null && node.kube.absentSince === null;
  const isAtWork = isInCluster && workOn(sight, node.id).kind !== "empty";
  if (!forced && (isTakenBack(node) || isAtWork)) return empty(node, scope, plan, why, purpose);
  const to: Phase = {
    kind: "terminating",
    since: sight.now,
    purpose,
    accepted: null,
    notBefore: 0,
  };
  plan.advance(to, "node.failed", [why]);
}

/** It leaves like a serving node: marked, then drained. */
function empty(node: Node, scope: Scope, plan: PlanBuilder, why: string, purpose: Purpose): void {
  const because = [why];
  if (node.cordon.product === null && node.cordon.human === null) {
    const payload = { kind: "cordon", why } as const;
    return plan.act({ kind: "effect", node: node.id, payload, because });
  }
  const payload = drainPayload(node, scope, purpose, null);
  plan.act({ kind: "effect", node: node.id, payload, because });
}

/** A machine removed by others is no hardware failure, unless its hardware had reported one. */
function endOf(session: NonNullable<Node["session"]>): "replaced" | "lost" {
  return session.definitive ? "replaced" : "lost";
}

/**
 * The cloud says that the instance is no more, or stopped: what is left of it is ended. Its own
 * word that it ended an instance needs no trust in our eyes and no budget; anything less does, and
 * a machine that a person has cordoned, or that its pool may not replace, is left to people.
 */
export function lose(node: Node, scope: Scope, plan: PlanBuilder, why: string): void {
  const { sight, pool } = scope;
  if (isLeaving(node.phase) && node.phase.kind !== "draining") return;
  if (node.instance?.state !== "terminated") {
    if (sight.blind.length > 0) return plan.wait("blind", sight.blind.join("; "));
    const paused = pausedBy(node, scope);
    if (paused !== null) return plan.wait("human", `${why}, but ${paused.message}`, paused.until);
    if (node.cordon.human !== null && node.order === null) {
      return plan.wait("human", `${why}, but ${node.cordon.human.by} has cordoned it`);
    }
    if (pool !== null && !pool.health.autoReplace) {
      return plan.wait("not_ours", `${why}, and auto_replace is off for pool ${pool.name}`);
    }
    if (!mayTake(node, "replace", scope, plan)) return;
  }
  const to: Phase = {
    kind: "terminating",
    since: sight.now,
    purpose: "lost",
    accepted: null,
    notBefore: 0,
  };
  plan.advance(to, "instance.lost", [why], node.session === null ? null : endOf(node.session));
}
