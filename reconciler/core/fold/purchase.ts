/** What the answer to a purchase says about its node and its place. Pure. */
import { waitMs } from "../../../schema/millis.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { ownPrice } from "../machine-setting.ts";
import type { Instance, RefusalClass } from "../provider.ts";
import {
  type Lookup,
  type PlaceAt,
  placeOfGuard,
  placeOfNode,
  type Rest,
  restAfter,
  type RestChange,
  scopeOf,
  termsOf,
} from "../safety/rest.ts";
import { bindInstance } from "./listing.ts";
import { newHealth } from "./new-node.ts";
import type { Outcome } from "./outcome.ts";
import type { FailedPurchase } from "./trouble.ts";
import { sayOutcome } from "../say/outcome.ts";

export type Create = Extract<Operation["payload"], { kind: "create" }>;

export const NO_RESTS: RestChange = { put: [], drop: [] };

/** The pool's own, else the cloud's, else the one that was seen before. */
function priceOf({ request, pricePerHour }: Create, instance: Instance): number | null {
  const own = ownPrice(request.settings, instance.instanceType);
  return own ?? instance.pricePerHour ?? pricePerHour ?? null;
}

export function placeOf({ provider, request }: Create): PlaceAt {
  return { provider, ...request };
}

/**
 * An instance that the cloud accepted and ended before it ran is a refusal that came late. Nothing
 * else is waited for: a rate limit that ended it is a place that cannot sell now.
 */
export function deadOnArrival({ payload }: Operation, outcome: Outcome): Outcome | null {
  if (payload.kind !== "create" || outcome.kind !== "done") return null;
  const { instance } = outcome;
  if (instance === null || instance.state !== "terminated") return null;
  if (instance.failure === null) return null;
  const { class: cls, message } = instance.failure;
  const ended = sayOutcome({ code: "never_ran", instance: instance.id, said: message });
  return { kind: "refused", class: lateClass(cls), message: ended, retryAfterMs: null };
}

/** The class of a late refusal; the call itself was neither throttled nor fenced. */
function lateClass(cls: RefusalClass): RefusalClass {
  return cls === "rate_limit" || cls === "stale_fence" ? "capacity" : cls;
}

/** A throttled purchase stays open; the provider gets no new ones meanwhile. */
export function throttled(
  open: Operation,
  outcome: Outcome,
  facts: Lookup,
  now: number,
): RestChange {
  const { payload, askedAt, notBefore } = open;
  if (outcome.kind !== "refused" || outcome.class !== "rate_limit") return NO_RESTS;
  if (payload.kind !== "create") return NO_RESTS;
  const scope = scopeOf("rate_limit", placeOf(payload));
  const { message } = outcome;
  const retryAfterMs = waitMs(notBefore - now);
  const refusal = { scope, class: "rate_limit", message, retryAfterMs, askedAt } as const;
  return { put: [restAfter(facts, { ...refusal, isLate: false }, now)], drop: [] };
}

/** How a place rests whose cloud accepted a purchase and gave it up before it ran. */
export function restOfFailure(failed: FailedPurchase, facts: Lookup, now: number): Rest {
  const { instance, offer, failure } = failed;
  const cls = lateClass(failure.class);
  const terms = termsOf(placeOfNode({ offer, instance }));
  const { message } = failure;
  const askedAt = instance.boundAt;
  const isPlace = cls === "capacity" || cls === "bad_request";
  // The pool's own place has no zone where the cloud chose one.
  const asked = offer !== null && isPlace ? placeOfGuard(offer) : null;
  const scope = asked ?? scopeOf(cls, { ...instance, ...terms });
  const late = { retryAfterMs: null, askedAt, isLate: true };
  return restAfter(facts, { scope, class: cls, message, ...late }, now);
}

/** The node with the machine that was bought for it. */
export function bought(
  node: Node,
  { firstAskedAt, askedAt }: Operation,
  payload: Create,
  instance: Instance,
  now: number,
): Node {
  const pricePerHour = priceOf(payload, instance);
  const bound = bindInstance(payload.provider, instance, now);
  // A machine is never older than its node, whatever the provider's clock says.
  const to = Math.max(bound.cost?.to ?? now, Math.min(node.createdAt, now));
  // What reported under this id before anything was asked for is another machine's agent.
  const isStray = node.agent !== null && node.agent.registeredAt < (firstAskedAt ?? askedAt);
  return {
    ...node,
    ...(isStray ? { agent: null, health: newHealth() } : {}),
    instance: {
      ...bound,
      ...(payload.type === undefined ? {} : { type: payload.type }),
      ...(payload.account === undefined ? {} : { account: payload.account }),
      market: payload.request.market,
      pricePerHour,
      cost: { to, pricePerHour, endedAt: null },
    },
    offer: payload.guard ?? null,
    phase: { kind: "booting", since: now },
  };
}
