/**
 * The safety status, and what people do about it: freeze the fleet, trust a suspended rule, forgive
 * a GPU (docs/reference/safety.md#holds). Each change names a person and a reason, and is recorded
 * as an event. A repeated freeze replaces the earlier one; lifting an absent one changes nothing.
 */
import * as v from "valibot";
import type { Context } from "hono";
import type { SafetyView } from "../../../schema/api.ts";
import { cutText } from "../../../schema/cut-text.ts";
import { InstantText, parseInstant } from "../../../schema/instant.ts";
import { factsOf, sayFreezeEffect } from "../../../schema/safety.ts";
import { freezeOf, type SafetySource, viewSafety } from "../view/safety.ts";
import { viewDegraded } from "../view/degraded.ts";
import { viewTrust } from "../view/trust.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import type { Served } from "./release-folder.ts";
import { type SimulationPorts, viewBroken } from "./simulation.ts";
import {
  durationOf,
  eventBy,
  invalid,
  readAsked,
  reasonOrNone,
  Refusal,
  sayNear,
  sayReason,
} from "./request.ts";

/** docs/reference/safety.md#holds */
export const HOLD_DEFAULT_MS = 24 * 3_600_000;
/** A longer pause belongs in the configuration, where others find it. */
const VETO_MS_MAX = 90 * 24 * 3_600_000;

const why = v.pipe(
  v.string("expected a text: the reason, shown to other operators"),
  v.trim(),
  v.minLength(1, "expected a text: the reason, shown to other operators"),
  v.maxLength(1_024),
);

export const Veto = v.strictObject({
  reason: why,
  /** A duration, such as `24h`. */
  for: v.nullish(v.string("expected a duration, for example 24h"), null),
  /** Its end, instead of `for`. */
  until: v.nullish(InstantText, null),
});

export const Freeze = v.strictObject({
  ...Veto.entries,
  /** Stop cordons of definitive faults too. */
  all: v.nullish(v.boolean("expected true or false"), false),
});

export const Lift = v.strictObject({ reason: reasonOrNone });

/** When a hold or freeze ends; `null` = no end was given. */
export function endOf(given: v.InferOutput<typeof Veto>, now: number): number | null {
  if (given.for !== null && given.until !== null) {
    return invalid("for, until: give one of them, not both");
  }
  const [name, text] = given.for === null ? ["until", given.until] : ["for", given.for];
  if (text === null) return null;
  const shown = cutText(text);
  const until = name === "for" ? now + durationOf("for", text) : parseInstant(text);
  if (Number.isNaN(until)) return invalid(`${name}: ${shown} is not a time`);
  if (until <= now) return invalid(`${name}: ${shown} ends before it begins`);
  return until - now <= VETO_MS_MAX ? until : invalid(`${name}: ${shown} is longer than 2160h`);
}

export function safetySource({ reconciler, clock }: RoutePorts): SafetySource {
  return {
    fleet: reconciler.fleet(),
    config: reconciler.activeConfig(),
    sight: reconciler.lastSight(),
    plan: reconciler.lastPlan(),
    broken: reconciler.failure(),
    now: clock.wallMs(),
  };
}

export function viewSafetyOf(ports: SimulationPorts): SafetyView {
  const degraded = viewDegraded(ports);
  return { ...viewSafety(safetySource(ports)), ...viewBroken(ports), degraded };
}

/** Pauses automation in the whole fleet until it is lifted or expires. */
async function freeze(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Freeze);
  const until = endOf(body, now);
  const { reason, all } = body;
  const how = until === null ? "until it is unfrozen" : `until ${new Date(until).toISOString()}`;
  await ports.reconciler.change((draft) => {
    draft.putFact({ kind: "freeze", by, why: reason, at: now, until, ...(all ? { all } : {}) });
    const message = `the fleet is frozen ${how}: ${reason}. ${sayFreezeEffect(all)}`;
    draft.tell([eventBy(by, { at: now, kind: "safety.frozen", message })]);
  });
  return c.json({ frozen: freezeOf(ports.reconciler.fleet().facts, now) });
}

async function unfreeze(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Lift);
  let was = false;
  await ports.reconciler.change((draft) => {
    const fact = draft.fact("freeze");
    if (fact?.kind !== "freeze") return;
    was = true;
    draft.dropFact("freeze");
    const why = sayReason(body.reason);
    const message = `the freeze by ${fact.by} is lifted${why} (it was: ${fact.why})`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", message })]);
  });
  return c.json({ frozen: null, was_frozen: was });
}

const Because = v.strictObject({ reason: why });

/** Re-enables a rule that a circuit breaker suspended. */
async function trust(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Because);
  const { reason } = body;
  const { reconciler } = ports;
  const suspended = factsOf(reconciler.fleet().facts, "quarantine").map((fact) => fact.rule);
  const rule = knownName(c.req.param("rule"), suspended, (name) => `no rule ${name} is suspended`);
  await reconciler.change((draft) => {
    draft.putFact({ kind: "trusted", rule, by, at: now, why: reason });
    const message = `rule ${rule} is re-enabled: ${reason}`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", message })]);
  });
  return c.json({ rule, trusted_by: by });
}

/** Releases a quarantined GPU that was repaired: its machine may serve again. */
async function forgive(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Because);
  const { reconciler } = ports;
  const known = factsOf(reconciler.fleet().facts, "lemon").map((fact) => fact.uuid);
  const unknown = (name: string) => `no GPU ${name} is quarantined`;
  const uuid = knownName(c.req.param("uuid"), known, unknown);
  await reconciler.change((draft) => {
    draft.dropFact(`lemon:${uuid}`);
    const message = `GPU ${uuid} is forgiven: ${body.reason}`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", message })]);
  });
  return c.json({ uuid, forgiven_by: by });
}

function knownName(
  given = "",
  known: readonly string[],
  unknown: (name: string) => string,
): string {
  if (known.includes(given)) return given;
  throw new Refusal("not_found", `${unknown(given)}${sayNear(given, known)}`);
}

export const safetyRoutes: readonly Route<SimulationPorts & Served>[] = [
  {
    at: "GET /v1/trust",
    access: "viewer",
    says: "how agents connect, and which key they trust",
    run: (c, ports) => {
      const { reconciler } = ports;
      const { tls } = reconciler.activeConfig().server;
      const key = ports.install?.key.fingerprint ?? null;
      return c.json(viewTrust(reconciler.fleet().nodes.values(), { key, tls: tls !== null }));
    },
  },
  {
    at: "GET /v1/safety",
    access: "viewer",
    says: "what is held back, budgets, spend, quarantined GPUs",
    run: (c, ports) => {
      return c.json(viewSafetyOf(ports));
    },
  },
  {
    at: "PUT /v1/safety/freeze",
    access: "operator",
    act: ["freeze", "fleet"],
    body: Freeze,
    says: "freeze the fleet: body `reason`, and `for` or `until`",
    run: (c, ports) => freeze(c, ports),
  },
  {
    at: "DELETE /v1/safety/freeze",
    access: "operator",
    act: ["unfreeze", "fleet"],
    body: Lift,
    says: "lift the freeze",
    run: (c, ports) => unfreeze(c, ports),
  },
  {
    at: "PUT /v1/safety/trusted/:rule",
    access: "operator",
    act: ["trust", "rule"],
    body: Because,
    says: "re-enable a suspended rule: body `reason`",
    run: (c, ports) => trust(c, ports),
  },
  {
    at: "DELETE /v1/safety/lemons/:uuid",
    access: "operator",
    act: ["forgive", "gpu"],
    body: Because,
    says: "forgive a quarantined GPU: body `reason`",
    run: (c, ports) => forgive(c, ports),
  },
];
