/**
 * What people see of the safety machinery and how they stop it: a freeze of the fleet, a hold of a
 * pool (docs/reference/safety.md#holds). Every veto says who and why, and each is told as an event.
 * Said again it replaces what was said before; lifting what does not exist changes nothing.
 */
import * as v from "valibot";
import type { Context } from "hono";
import { parseDuration } from "../../../schema/duration.ts";
import { nearest } from "../../../schema/nearest.ts";
import { factsOf } from "../../../schema/safety.ts";
import { freezeOf, type SafetySource, viewSafety } from "../view/safety.ts";
import { viewTrust } from "../view/trust.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { eventBy, invalid, needs, readAsked, reasonOrNone, Refusal } from "./request.ts";

/** docs/reference/safety.md#holds */
export const HOLD_DEFAULT_MS = 24 * 3_600_000;
/** What has to stand still for longer belongs into the configuration, where others find it. */
const VETO_MS_MAX = 90 * 24 * 3_600_000;

const why = v.pipe(
  v.string("expected a text: the reason, shown to other operators"),
  v.trim(),
  v.minLength(1, "expected a text: the reason, shown to other operators"),
  v.maxLength(1_024),
);

export const Veto = v.strictObject({
  reason: why,
  /** How long, as people write it: `24h`. */
  for: v.nullish(v.string("expected a duration, for example 24h"), null),
  /** Instead of `for`: the moment it ends. */
  until: v.nullish(v.pipe(v.string(), v.isoTimestamp("expected an RFC 3339 time")), null),
});

export const Lift = v.strictObject({ reason: reasonOrNone });

/** When a veto ends; `null` = it was not said. */
export function endOf(given: v.InferOutput<typeof Veto>, now: number): number | null {
  if (given.for !== null && given.until !== null) {
    return invalid("for, until: give one of them, not both");
  }
  const until = given.for === null ? momentOf(given.until) : now + spanOf(given.for);
  if (until === null) return null;
  const name = given.for === null ? "until" : "for";
  const said = given.for ?? given.until ?? "";
  if (Number.isNaN(until)) return invalid(`${name}: ${said} is no moment`);
  if (until <= now) return invalid(`${name}: ${said} ends before it begins`);
  return until - now <= VETO_MS_MAX ? until : invalid(`${name}: ${said} is longer than 2160h`);
}

function momentOf(given: string | null): number | null {
  return given === null ? null : Date.parse(given);
}

function spanOf(given: string): number {
  const span = parseDuration(given);
  if (span.ok) return span.ms;
  return invalid(`for: ${span.message}${span.hint === null ? "" : ` (${span.hint})`}`);
}

/** Everything that it takes to say what is held back now. */
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

export function safetyRoutes(api: App, ports: RoutePorts): void {
  const { reconciler } = ports;
  api.get("/trust", needs("viewer"), (c) => {
    const { tls } = reconciler.activeConfig().server;
    const key = ports.install?.key.fingerprint ?? null;
    return c.json(viewTrust(reconciler.fleet().nodes.values(), { key, tls: tls !== null }));
  });
  api.get("/safety", needs("viewer"), (c) => c.json(viewSafety(safetySource(ports))));
  api.put("/safety/freeze", needs("operator"), (c) => freeze(c, ports));
  api.delete("/safety/freeze", needs("operator"), (c) => unfreeze(c, ports));
  api.put("/safety/trusted/:rule", needs("operator"), (c) => trust(c, ports));
  api.delete("/safety/lemons/:uuid", needs("operator"), (c) => forgive(c, ports));
}

/** Pauses automation in the whole fleet until it is lifted or expires. */
async function freeze(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Veto);
  const until = endOf(body, now);
  const { reason } = body;
  const how = until === null ? "until it is unfrozen" : `until ${new Date(until).toISOString()}`;
  await ports.reconciler.change((draft) => {
    draft.putFact({ kind: "freeze", by, why: reason, at: now, until });
    const message = `the fleet is frozen ${how}: ${reason}`;
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
    const why = body.reason === "" ? "" : `: ${body.reason}`;
    const message = `the freeze by ${fact.by} is lifted${why} (it was: ${fact.why})`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", message })]);
  });
  return c.json({ frozen: null, was_frozen: was });
}

const Because = v.strictObject({ reason: why });

/** A person's word that a rule which was put aside is right: its verdicts count again. */
async function trust(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Because);
  const { reason } = body;
  const { reconciler } = ports;
  const aside = factsOf(reconciler.fleet().facts, "quarantine").map((fact) => fact.rule);
  const rule = knownName(c.req.param("rule"), aside, (name) => `no rule ${name} is suspended`);
  await reconciler.change((draft) => {
    draft.putFact({ kind: "trusted", rule, by, at: now, why: reason });
    const message = `rule ${rule} is trusted and counts again: ${reason}`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", message })]);
  });
  return c.json({ rule, trusted_by: by });
}

/** A GPU that failed was repaired: its machine may serve again. */
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

/** The name, which must be one of those that are known. */
function knownName(
  given = "",
  known: readonly string[],
  unknown: (name: string) => string,
): string {
  if (known.includes(given)) return given;
  const near = nearest(given, known);
  const hint = near === null ? "" : ` (did you mean ${near}?)`;
  throw new Refusal("not_found", `${unknown(given)}${hint}`);
}
