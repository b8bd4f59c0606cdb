/**
 * Decides how a node comes into service: requested, booting, verified by its first full check.
 * Pure.
 */
import type { Node, Phase, Purpose } from "../../../schema/node.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolName } from "../../../schema/id.ts";
import { isOwned, isWell, workOn } from "../fleet.ts";
import { REST_MAX_MS } from "../fold/bootstrap.ts";
import { isDefinitive } from "../safety/evident.ts";
import { guardKey, guardOf, isSuspect } from "../safety/guard.ts";
import { REACHES_ANY } from "../reach.ts";
import { quarantinedIn } from "../safety/quarantined-hardware.ts";
import { addressOf, bootstrapPayload, comesBare, hindranceOf, setUpOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { darkness, unreadyIn } from "./kube.ts";
import { decideOrder, drainPayload, type PhaseOf, terminating } from "./leave.ts";
import { lose, prefixed } from "./lose.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { isResting } from "../turn/backoff.ts";
import { blindness, heldByCloud, pausedBy, vetoIf } from "./admit.ts";
import { buyerOf, noteBought, priceOf, tryingKeys } from "./buy.ts";
import { createRequest, nextOffer } from "./offer.ts";
import { strangerVeto } from "../stranger.ts";
import { isInSlurm } from "./slurm.ts";
import { type Cause, type Seen, sayCause } from "../say/cause.ts";

export function decideRequested(
  node: Node,
  phase: PhaseOf<"requested">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { pool, sight, fleet } = scope;
  const state = pool === null ? undefined : fleet.pools.get(pool.name);
  const gone: Phase = { kind: "gone", since: sight.now, purpose: "scale_down" };
  if (pool === null || state === undefined || node.slot === null) {
    return plan.advance(gone, "node.terminated", [{ code: "pool_gone" }]);
  }
  if (scope.candidates.has(node.id)) {
    return plan.advance(gone, "node.terminated", [{ code: "smaller_unbought", pool: pool.name }]);
  }
  const paused = pausedBy(node, scope) ?? strangerVeto(pool, fleet, sight);
  if (paused !== null) return plan.refuse(paused);
  if (isResting(phase.notBefore, sight.now))
    return plan.wait(
      "backoff",
      { code: "purchase_rests", said: phase.refusal ?? null },
      phase.notBefore,
    );
  const holder = scope.bySlot.get(node.slot)?.find((one) => one !== node && holdsSlot(one));
  if (holder !== undefined) {
    const why: Cause = { code: "slot_retaken", slot: node.slot, by: holder.id };
    return plan.advance(gone, "node.terminated", [why]);
  }
  if (isOccupied(node, scope))
    return plan.wait("replacement", { code: "slot_occupied", slot: node.slot });
  const hindrance = hindranceOf(pool, sight);
  const usable = hindrance === null ? sight.providers : onlyComplete(sight);
  const answer = nextOffer(pool, state, buyerOf(scope, usable));
  if (answer.kind === "wait") {
    if (hindrance === null) return plan.wait(answer.reason, answer.why, answer.until);
    return plan.wait("bootstrap", { code: "nothing_bought", why: hindrance.why }, answer.until);
  }
  const { offer } = answer;
  const price = priceOf(offer, scope);
  const ask = { pool: pool.name, provider: offer.provider, price };
  const ceiling = scope.spendBudget.take({ ...ask, replaces: node.replaces !== null });
  if (ceiling !== null) return plan.wait("spend", ceiling);
  const guard = guardKey(pool, offer.key);
  if (isSuspect(guardOf(state, guard))) tryingKeys(scope).add(guard);
  noteBought(offer, scope);
  const request = createRequest({
    fleetId: fleet.fleetId,
    pool,
    nodeId: node.id,
    slot: node.slot,
    gen: node.gen,
    attempt: phase.attempt,
    offer,
  });
  const provider = offer.provider as PoolName;
  plan.effect(
    {
      ...{ kind: "create", provider, offer: offer.key, guard, pricePerHour: price, request },
      ...belongingAt(provider, sight),
    },
    [{ code: "slot_empty", slot: node.slot, pool: pool.name, wanted: scope.desired }],
  );
}

/** What the provider reaches now: a repeat elsewhere would be another purchase. */
function belongingAt(provider: string, { providers }: Scope["sight"]) {
  const { type, account } = providers.get(provider)?.reach ?? REACHES_ANY;
  return { ...(type === null ? {} : { type }), ...(account === null ? {} : { account }) };
}

/** Providers whose machines bring an agent: no other machine can become a node now. */
function onlyComplete(sight: Scope["sight"]): Scope["sight"]["providers"] {
  return new Map([...sight.providers].filter(([name]) => !comesBare(name, sight)));
}

/** At most one live instance a slot (invariant I2), except the pair of a `surge`. */
/** In service, and nothing replaces it: such as a surplus that a person put back. */
const holdsSlot = ({ phase, session }: Node): boolean =>
  phase.kind === "serving" && session === null;

function isOccupied(node: Node, scope: Scope): boolean {
  const others = node.slot === null ? [] : (scope.bySlot.get(node.slot) ?? []);
  return others.some(
    ({ id, phase }) =>
      id !== node.id && !(phase.kind === "replacing" && phase.replacement === node.id),
  );
}

export function decideBooting(
  node: Node,
  phase: PhaseOf<"booting" | "bootstrapping">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const loss = lossOf(node, scope);
  // A listing may lag behind a purchase: while it boots, only the cloud's own report ends it.
  if (loss !== null && node.instance?.absentSince === null) {
    return lose(node, scope, plan, loss, cameUp(node) ? "lost" : "failed");
  }
  if (node.order !== null)
    return fail(node, scope, plan, orderOf(node.order), "operator", node.order.force);
  if (scope.candidates.has(node.id))
    return fail(node, scope, plan, { code: "smaller" }, "scale_down");
  const held = node.agent === null ? heldByCloud(node, sight) : null;
  if (held !== null) return plan.refuse(held);
  const failure = node.instance?.failure ?? null;
  if (failure !== null && node.agent === null && node.instance?.state === "provisioning") {
    // The cloud may deliver it later; another place is tried now, so this one is given up.
    const why = { code: "undeliverable", class: failure.class, said: failure.message } as const;
    return plan.advance(terminating(sight, "lost"), "instance.lost", [why]);
  }
  const setUp = setUpOf(node, scope);
  const doneAt = node.bootstrap?.doneAt ?? null;
  const isBare = setUp !== null && doneAt === null && !isRediscovered(node);
  if (isBare) return decideSetUp(node, phase, setUp, scope, plan);
  if (node.agent !== null) {
    return plan.advance({ kind: "verifying", since: sight.now }, "node.registered", [
      { code: "registered" },
    ]);
  }
  // While the control plane was away it could not receive a report; that time does not count.
  const { limitMs, ...boot } = bootOf(node, phase, scope);
  const since = doneAt ?? boot.since;
  const waitedMs = Math.min(sight.now - since, sight.attentiveMs);
  if (waitedMs >= limitMs) {
    const why: Cause = {
      code: boot.isBooting ? "boots_long" : "no_agent",
      seconds: Math.round(waitedMs / 1000),
      seen: isRediscovered(node) ? null : seenOf(node),
    };
    if (staysInPlace(node)) return keepInPlace(node, plan, why);
    return fail(node, scope, plan, why, "failed");
  }
  const { id = "?", state = "new" } = node.instance ?? {};
  const until = since + limitMs;
  if (boot.isBooting && waitedMs >= boot.registrationMs) {
    const minutes = Math.floor(waitedMs / 60_000);
    return plan.wait("late_boot", { code: "late_boot", id, state, minutes }, until);
  }
  plan.wait("boot", { code: "agent_silent", id, state }, until);
}

/**
 * What a boot is measured by: while the cloud itself calls the instance booting, the longer limit
 * from the purchase; once it runs, the agent's limit from then (docs/buying.md#boot-limits).
 */
function bootOf(
  node: Pick<Node, "instance" | "bootstrap">,
  phase: PhaseOf<"booting" | "bootstrapping">,
  { timing }: Pick<Scope, "timing">,
): { isBooting: boolean; since: number; limitMs: number; registrationMs: number } {
  const { state, runningAt, provider } = node.instance ?? {};
  const { registrationMs, bootMs } = timing.boot.get(provider ?? "") ?? {
    registrationMs: timing.registrationTimeoutMs,
    bootMs: timing.registrationTimeoutMs,
  };
  const isBooting = state === "provisioning" && !node.bootstrap?.doneAt;
  const since = isBooting ? phase.since : Math.max(phase.since, runningAt ?? 0);
  return { isBooting, since, limitMs: isBooting ? bootMs : registrationMs, registrationMs };
}

const orderOf = ({ why }: NonNullable<Node["order"]>): Cause => ({ code: "ordered", why });

/** Details for people about a node that was set up and stays silent. */
function seenOf({ bootstrap, instance }: Node): Seen {
  if (bootstrap === null || bootstrap.doneAt === null || instance === null) return null;
  const { internalIp, externalIp, state, id } = instance;
  return { attempts: bootstrap.attempts, id, state, address: externalIp ?? internalIp };
}

/**
 * Set up over SSH, attempt by attempt. A report before the set-up is done does not count: the
 * remaining commands may be the ones that make the machine fit for work.
 */
function decideSetUp(
  node: Node,
  phase: PhaseOf<"booting" | "bootstrapping">,
  setUp: PoolConfig["bootstrap"],
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const { instance } = node;
  const ended = node.bootstrap?.attempts ?? 0;
  // An owned machine has no replacement: its set-up is tried until it succeeds.
  const attempt = { attempt: ended + 1, of: isOwned(node) ? null : setUp.attempts };
  if (node.operation !== null) {
    const said = scope.fleet.operations.get(node.operation)?.message ?? null;
    return plan.wait("bootstrap", { code: "set_up", ...attempt, said });
  }
  const address = addressOf(node);
  if (instance === null || instance.state !== "running" || address === null) {
    const { isBooting, since, limitMs: bootMs } = bootOf(node, phase, scope);
    const waitedMs = Math.min(sight.now - since, sight.attentiveMs);
    // An address comes once the instance runs: until then the limit of a boot is no shorter.
    const limitMs = isBooting ? Math.max(bootMs, setUp.ipWaitTimeoutMs) : setUp.ipWaitTimeoutMs;
    if (waitedMs >= limitMs) {
      const seconds = Math.round(limitMs / 1_000);
      return fail(node, scope, plan, { code: "no_address", seconds }, "failed");
    }
    const { id = "?", state = "new" } = instance ?? {};
    return plan.wait("boot", { code: "no_address_yet", id, state }, since + limitMs);
  }
  if (phase.kind === "booting") {
    const to: Phase = { kind: "bootstrapping", since: sight.now, attempt: 1 };
    return plan.advance(to, "node.bootstrapping", [{ code: "set_up_begins", address }]);
  }
  const isOver = node.bootstrap?.final === true || ended >= setUp.attempts;
  if (isOver && !isOwned(node)) {
    const said = node.bootstrap?.error ?? null;
    return fail(node, scope, plan, { code: "set_up_failed", times: ended, said }, "failed");
  }
  const notBefore = node.bootstrap?.notBefore ?? 0;
  const hindrance = scope.pool === null ? null : hindranceOf(scope.pool, sight);
  if (hindrance !== null) {
    return plan.wait("bootstrap", { code: "set_up_waits", why: hindrance.why });
  }
  if (isResting(notBefore, sight.now, REST_MAX_MS)) {
    const said = node.bootstrap?.error ?? null;
    const { host } = instance;
    const fix = host === undefined ? null : { host: host.name, address };
    return plan.wait("backoff", { code: "set_up_rests", ...attempt, said, fix }, notBefore);
  }
  const payload = bootstrapPayload(node, instance, address, setUp, scope.pool);
  plan.effect(payload, [{ code: "set_up", ...attempt, address }]);
}

export function decideVerifying(
  node: Node,
  phase: PhaseOf<"verifying">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight, timing } = scope;
  const loss = lossOf(node, scope);
  if (loss !== null && node.health.silentSince !== null) return lose(node, scope, plan, loss);
  // It may wait long for its cluster; until then its reports count like a serving node's.
  if (loss !== null && node.order === null && !scope.candidates.has(node.id))
    return plan.wait("second_witness", { code: "doubted", loss });
  if (node.order !== null && node.order.goal !== "drain" && node.instance !== null) {
    return fail(node, scope, plan, orderOf(node.order), "operator", node.order.force);
  }
  if (scope.candidates.has(node.id) && node.instance !== null) {
    return fail(node, scope, plan, { code: "smaller" }, "scale_down");
  }
  const gpu = node.instance === null ? null : quarantinedIn(node, scope.fleet, sight.now);
  if (gpu !== null) {
    const before = { uuid: gpu.uuid, at: gpu.lastAt, because: gpu.because };
    if (isOwned(node)) return plan.wait("human", { code: "hardware_returned", ...before });
    return fail(node, scope, plan, { code: "returned", ...before }, "lemon");
  }
  const { health } = node;
  // The report that registered the agent may contain the check.
  const checked =
    health.lastCheckAt !== null && health.lastCheckAt >= (node.agent?.registeredAt ?? 0);
  if (checked && isWell(node)) return arrive(node, phase, scope, plan);
  const threshold = scope.pool?.health.unhealthyThreshold ?? 1;
  // Without a full check only permanent faults count: the driver may still be starting.
  const isKnown = checked || isDefinitive(node);
  if (health.verdict === "unhealthy" && health.unhealthyRun >= threshold && isKnown) {
    const because =
      health.held.find((h) => h.judgement.result === "unhealthy")?.judgement.because ?? "unhealthy";
    if (node.instance === null || staysInPlace(node)) {
      const why: Cause = { code: "evidence", because, more: 0 };
      return plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", [why], "open");
    }
    return fail(node, scope, plan, { code: "first_unhealthy", because }, "failed");
  }
  // A node that waits for its cluster may have been healthy for long: only the time since its last
  // full check counts, whatever that check found.
  const since = checked ? (health.lastCheckAt ?? phase.since) : phase.since;
  const waitedMs = Math.min(sight.now - Math.max(since, phase.since), sight.attentiveMs);
  if (waitedMs >= timing.registrationTimeoutMs && node.instance !== null) {
    const why: Cause = { code: "not_verified", seconds: Math.round(waitedMs / 1000) };
    if (staysInPlace(node)) return keepInPlace(node, plan, why);
    return fail(node, scope, plan, why, "failed");
  }
  plan.wait(
    "boot",
    { code: "first_check_open", verdict: health.verdict },
    phase.since + timing.registrationTimeoutMs,
  );
}

/**
 * Its first check is well: it serves once its cluster would place work on it. A healthy machine is
 * never ended because of its cluster, which may know it under an identity that was not matched.
 */
function arrive(node: Node, phase: PhaseOf<"verifying">, scope: Scope, plan: PlanBuilder): void {
  const { sight, timing } = scope;
  const because: Cause[] = [{ code: "first_check", verdict: node.health.verdict }];
  const serving: Phase = { kind: "serving", since: sight.now };
  const unready = unreadyIn(node, scope);
  if (unready === null) return plan.advance(serving, "node.verified", because);
  // Only a drain order gets here, and a Node that is not Ready may have work on it.
  if (node.order !== null) return decideOrder(node, scope, plan);
  const { isSure } = unready;
  const limitMs = timing.clusterReadyTimeoutMs;
  const waitedMs = Math.min(sight.now - phase.since, sight.attentiveMs);
  if (waitedMs < limitMs) return plan.wait("cluster", unready.why, phase.since + limitMs);
  const seconds = Math.round(waitedMs / 1_000);
  const why: Cause = { code: "cluster_late", unready: unready.why, seconds };
  if (!isSure) return plan.advance(serving, "node.verified", [...because, why]);
  plan.wait("human", { code: "cluster_late", why });
}

/**
 * Found in the cloud's list after the record was lost or restored: since when it serves and what
 * runs on it are unknown. It is never set up again, and only evidence within a budget or a person
 * takes it out of service, drained; silence alone is no evidence (law 9).
 */
function isRediscovered({ instance }: Node): boolean {
  return instance?.adopted === true;
}

/**
 * Whether its end says nothing about the offer and set-up: an agent was heard, it is not one that
 * was just bought, or the cloud itself says why it never ran (its place rests).
 */
function cameUp(node: Node): boolean {
  return node.agent !== null || isRediscovered(node) || node.instance?.failure !== undefined;
}

/** An owned machine is not given up either: there is none to take its place. */
const staysInPlace = (node: Node): boolean => isRediscovered(node) || isOwned(node);

function keepInPlace(node: Node, plan: PlanBuilder, why: Cause): void {
  const { host = null, externalIp } = node.instance ?? {};
  if (host !== null && !isRediscovered(node)) {
    return plan.wait("human", { code: "owned_silent", why, host: host.name, address: externalIp });
  }
  plan.wait("human", { code: "adopted_silent", why });
}

/**
 * Terminates a node that never served. It needs no drain, unless it was adopted, or its cluster
 * shows work on it or does not answer.
 */
function fail(
  node: Node,
  scope: Scope,
  plan: PlanBuilder,
  why: Cause,
  purpose: "failed" | "lemon" | "operator" | "scale_down",
  forced = false,
): void {
  const { sight } = scope;
  const blind = forced ? null : blindness(sight);
  if (blind !== null) return plan.refuse(blind);
  const veto =
    (purpose === "operator" ? null : pausedBy(node, scope)) ??
    (forced ? null : vetoIf("blind", darkness(node, scope)));
  if (veto !== null) return plan.refuse(prefixed(veto, why));
  const isInCluster = node.kube !== null && node.kube.absentSince === null;
  const isScheduled = isInCluster || isInSlurm(node, sight);
  const isAtWork = isScheduled && workOn(sight, node.id).kind !== "empty";
  if (!forced && (isRediscovered(node) || isAtWork)) return empty(node, scope, plan, why, purpose);
  plan.advance(terminating(sight, purpose), "node.failed", [why]);
}

/** Cordons, then drains, like a serving node. */
function empty(node: Node, scope: Scope, plan: PlanBuilder, why: Cause, purpose: Purpose): void {
  const isCordoned = node.cordon.product !== null || node.cordon.human !== null;
  const cordon = { kind: "cordon", why: sayCause(why), cause: "failed" } as const;
  plan.effect(isCordoned ? drainPayload(node, scope, purpose, null) : cordon, [why]);
}
