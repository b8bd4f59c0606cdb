/**
 * What people see of the safety machinery and how they stop it: a freeze of the fleet, a hold of a
 * pool (docs/reference/safety.md#holds). Every veto says who and why, and each is told as an event.
 * Said again it replaces what was said before; lifting what does not exist changes nothing.
 */
import * as v from "valibot";
import type { Context } from "hono";
import { parseDuration } from "../../../schema/duration.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { PoolName } from "../../../schema/id.ts";
import { nearest } from "../../../schema/nearest.ts";
import { factsOf } from "../../../schema/safety.ts";
import { freezeOf, viewSafety } from "../view/safety.ts";
import { viewTrust } from "../view/trust.ts";
import { needs, readBody, refuse, type App, type Env, type RoutePorts } from "./app.ts";

/** docs/reference/safety.md#holds */
export const HOLD_DEFAULT_MS = 24 * 3_600_000;
/** What has to stand still for longer belongs into the configuration, where others find it. */
const VETO_MS_MAX = 90 * 24 * 3_600_000;

const why = v.pipe(
  v.string("expected a text: why, for whoever finds it"),
  v.trim(),
  v.minLength(1, "expected a text: why, for whoever finds it"),
  v.maxLength(1_024),
);

export const Veto = v.strictObject({
  reason: why,
  /** How long, as people write it: `24h`. */
  for: v.nullish(v.string("expected a duration, for example 24h"), null),
  /** Instead of `for`: the moment it ends. */
  until: v.nullish(v.pipe(v.string(), v.isoTimestamp("expected an RFC 3339 time")), null),
});

export const Lift = v.strictObject({
  reason: v.optional(v.pipe(v.string(), v.maxLength(1_024)), ""),
});

/** When a veto ends; `until` `null` = it was not said. */
export function endOf(
  given: v.InferOutput<typeof Veto>,
  now: number,
): { ok: true; until: number | null } | { ok: false; message: string } {
  if (given.for !== null && given.until !== null) {
    return { ok: false, message: "for, until: one of them says when it ends, not both" };
  }
  let until: number | null = null;
  if (given.for !== null) {
    const span = parseDuration(given.for);
    if (!span.ok) {
      const hint = span.hint === null ? "" : ` (${span.hint})`;
      return { ok: false, message: `for: ${span.message}${hint}` };
    }
    until = now + span.ms;
  } else if (given.until !== null) until = Date.parse(given.until);
  if (until === null) return { ok: true, until };
  const name = given.for === null ? "until" : "for";
  const said = given.for ?? given.until ?? "";
  if (Number.isNaN(until)) return { ok: false, message: `${name}: ${said} is no moment` };
  if (until <= now) return { ok: false, message: `${name}: ${said} ends before it begins` };
  if (until - now <= VETO_MS_MAX) return { ok: true, until };
  return { ok: false, message: `${name}: ${said} is longer than 2160h` };
}

/** The event that tells of a veto, or of its end. */
export function tellVeto(
  kind: "safety.frozen" | "safety.released",
  from: { pool: PoolName | null; by: string; now: number; message: string },
): EventDraft {
  const { pool, by, now, message } = from;
  return { at: now, kind, node: null, pool, session: null, actor: `human:${by}`, message };
}

export function safetyRoutes(api: App, ports: RoutePorts): void {
  const { reconciler, clock } = ports;
  api.get("/trust", needs("viewer"), (c) => {
    const { tls } = reconciler.activeConfig().server;
    const key = ports.install?.key.fingerprint ?? null;
    return c.json(viewTrust(reconciler.fleet().nodes.values(), { key, tls: tls !== null }));
  });
  api.get("/safety", needs("viewer"), (c) =>
    c.json(
      viewSafety({
        fleet: reconciler.fleet(),
        config: reconciler.activeConfig(),
        sight: reconciler.lastSight(),
        plan: reconciler.lastPlan(),
        broken: reconciler.failure(),
        now: clock.wallMs(),
      }),
    ),
  );
  api.put("/safety/freeze", needs("operator"), (c) => freeze(c, ports));
  api.delete("/safety/freeze", needs("operator"), (c) => unfreeze(c, ports));
  api.put("/safety/trusted/:rule", needs("operator"), (c) => trust(c, ports));
  api.delete("/safety/lemons/:uuid", needs("operator"), (c) => forgive(c, ports));
}

/** Everything that cannot be taken back stops, in the whole fleet, until somebody lifts it. */
async function freeze(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const body = await readBody(c, Veto);
  if (!body.ok) return body.response;
  const now = ports.clock.wallMs();
  const end = endOf(body.value, now);
  if (!end.ok) return refuse(c, "invalid_argument", end.message);
  const { until } = end;
  const by = c.get("principal").name;
  const { reason } = body.value;
  const how = until === null ? "until it is unfrozen" : `until ${new Date(until).toISOString()}`;
  await ports.reconciler.change((draft) => {
    draft.putFact({ kind: "freeze", by, why: reason, at: now, until });
    const message = `the fleet is frozen ${how}: ${reason}`;
    draft.tell([tellVeto("safety.frozen", { pool: null, by, now, message })]);
  });
  return c.json({ frozen: freezeOf(ports.reconciler.fleet().facts, now) });
}

async function unfreeze(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const body = await readBody(c, Lift);
  if (!body.ok) return body.response;
  const now = ports.clock.wallMs();
  const by = c.get("principal").name;
  let was = false;
  await ports.reconciler.change((draft) => {
    const fact = draft.fact("freeze");
    if (fact?.kind !== "freeze") return;
    was = true;
    draft.dropFact("freeze");
    const why = body.value.reason === "" ? "" : `: ${body.value.reason}`;
    const message = `the freeze by ${fact.by} is lifted${why} (it was: ${fact.why})`;
    draft.tell([tellVeto("safety.released", { pool: null, by, now, message })]);
  });
  return c.json({ frozen: null, was_frozen: was });
}

const Because = v.strictObject({ reason: why });

/** A person's word that a rule which was put aside is right: its verdicts count again. */
async function trust(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const body = await readBody(c, Because);
  if (!body.ok) return body.response;
  const rule = c.req.param("rule") ?? "";
  const { reconciler, clock } = ports;
  const aside = factsOf(reconciler.fleet().facts, "quarantine").map((fact) => fact.rule);
  if (!aside.includes(rule)) {
    const hint = nearest(rule, aside);
    const more = hint === null ? "" : ` (did you mean ${hint}?)`;
    return refuse(c, "not_found", `no rule ${rule} is put aside${more}`);
  }
  const now = clock.wallMs();
  const by = c.get("principal").name;
  const { reason } = body.value;
  await reconciler.change((draft) => {
    draft.putFact({ kind: "trusted", rule, by, at: now, why: reason });
    const message = `rule ${rule} is trusted and counts again: ${reason}`;
    draft.tell([tellVeto("safety.released", { pool: null, by, now, message })]);
  });
  return c.json({ rule, trusted_by: by });
}

/** A GPU that failed was repaired: its machine may serve again. */
async function forgive(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const body = await readBody(c, Because);
  if (!body.ok) return body.response;
  const uuid = c.req.param("uuid") ?? "";
  const { reconciler, clock } = ports;
  const known = factsOf(reconciler.fleet().facts, "lemon").map((fact) => fact.uuid);
  if (!known.includes(uuid)) {
    const hint = nearest(uuid, known);
    const more = hint === null ? "" : ` (did you mean ${hint}?)`;
    return refuse(c, "not_found", `no GPU ${uuid} is in the lemon ledger${more}`);
  }
  const now = clock.wallMs();
  const by = c.get("principal").name;
  await reconciler.change((draft) => {
    draft.dropFact(`lemon:${uuid}`);
    const message = `GPU ${uuid} is forgiven: ${body.value.reason}`;
    draft.tell([tellVeto("safety.released", { pool: null, by, now, message })]);
  });
  return c.json({ uuid, forgiven_by: by });
}
